/** The commands and settings of README's section on Pacemaker, as an operator would copy them, and rooms to run them in. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { assert } from '../../agent/base/errors.ts';
import type { NodeRoom } from '../../agent/bench/node-room.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import type { Overrides } from '../../agent/demo/lab-settings.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

export interface Guide {
  /** Laid over the agent's settings. */
  readonly settings: Overrides;
  /** Shell commands: for each node, before its agent starts; and for one node, which makes the clone and the rule. */
  readonly install: string;
  readonly clone: string;
  readonly rule: string;
}

/** `changes`: texts of the commands and what stands in their place, such as intervals too long for a test. */
export function pacemakerGuide(changes: Readonly<Record<string, string>> = {}): Guide {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const section = /^### Pacemaker$(.*?)^### /ms.exec(readme)?.[1] ?? '';
  const blocks = (language: string) =>
    [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].flatMap(([, name, text = '']) => (name === language ? text : []));
  const [settings = ''] = blocks('yaml');
  let [commands = '', rule = ''] = blocks('sh');
  for (const [from, to] of Object.entries(changes)) {
    assert(commands.includes(from), `the commands of README have ${from}`);
    commands = commands.replace(from, to);
  }
  const clone = /^cibadmin .*/ms.exec(commands)?.[0] ?? '';
  const install = commands.replace(clone, '').replace(/^cd .*/m, `cd '${ROOT}'`);
  return { settings: parse(settings) as Overrides, install, clone, rule };
}

/** Places that the guide writes into are the room's own copies; `stillbeat` and Node are on the daemons' PATH. */
const FURNISH = `set -e
for place in /etc /usr/lib/ocf/resource.d /usr/local/sbin; do
  mkdir -p "/run/own$place"
  cp -a "$place/." "/run/own$place"
  mount --bind "/run/own$place" "$place"
done
ln -sf "$1" /usr/local/sbin/node
printf '#!/bin/sh\\nexec "%s" "%s" "$@"\\n' "$1" "$2" >/usr/local/sbin/stillbeat
chmod 755 /usr/local/sbin/stillbeat
eval "$3"`;

/** Installs what the guide says on the node, in its room alone. */
export async function furnish(room: NodeRoom, guide: Guide): Promise<void> {
  const { status, stderr } = await room.exec(['sh', '-c', FURNISH, 'sh', process.execPath, CLI_PATH, guide.install]);
  assert(status === 0, `the guide's commands succeed in the room of ${room.node}: ${stderr}`);
}
