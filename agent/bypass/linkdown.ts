/**
 * The one setting of the host that the bypass changes: that the kernel leaves out routes over the primary interface while
 * that has no carrier (`ignore_routes_with_linkdown`). With it the kernel alone turns the bypassed packets back into the
 * interface, even while the agent stands still.
 *
 * What was there before is written down first, beside the control socket, so that whoever stops last puts it back, also
 * after an agent that was killed.
 */
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { bootId } from '../platform/host.ts';

type Values = Readonly<Record<string, string>>;

interface Found {
  /** Settings do not outlive a boot, nor does what they were. */
  readonly boot: string;
  readonly values: Values;
}

const settingsOf = (interfaceName: string): string[] =>
  ['ipv4', 'ipv6'].map((family) => `/proc/sys/net/${family}/conf/${interfaceName}/ignore_routes_with_linkdown`);

/** One file for each interface of each network namespace: agents of one host share it. */
function recordPath(folder: string, interfaceName: string): string {
  const namespace = readlinkSync('/proc/self/ns/net').replaceAll(/\D/g, '');
  return join(folder, `bypass-${interfaceName}-${namespace}.json`);
}

/** Answers false where the kernel does not let us: then only the agent handles a lost carrier. */
export function ignoreLinkdown(controlSocket: string, interfaceName: string): boolean {
  const folder = dirname(controlSocket);
  const path = recordPath(folder, interfaceName);
  const values: Record<string, string> = {};
  for (const setting of settingsOf(interfaceName)) {
    if (existsSync(setting)) values[setting] = readFileSync(setting, 'utf8').trim();
  }
  mkdirSync(folder, { recursive: true });
  if (readRecord(path) === null) writeFileSync(path, JSON.stringify({ boot: boot(), values } satisfies Found));
  return Object.keys(values)
    .map((setting) => write(setting, '1'))
    .every(Boolean);
}

/** Puts back what was there before. */
export function restoreLinkdown(controlSocket: string, interfaceName: string): void {
  const path = recordPath(dirname(controlSocket), interfaceName);
  const found = readRecord(path);
  for (const [setting, value] of Object.entries(found?.values ?? {})) write(setting, value);
  rmSync(path, { force: true });
}

const boot = (): string => Buffer.from(bootId()).toString('hex');

function readRecord(path: string): Found | null {
  try {
    const found = JSON.parse(readFileSync(path, 'utf8')) as Found;
    return found.boot === boot() ? found : null;
  } catch {
    return null;
  }
}

function write(setting: string, value: string): boolean {
  try {
    writeFileSync(setting, value);
    return true;
  } catch {
    return false;
  }
}
