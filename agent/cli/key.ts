/** `stillbeat key new|add|use|drop|show FILE`: makes a cluster key, and rotates it step by step. No key is ever printed. */
import { parseArgs } from 'node:util';
import { EXIT } from '../base/errors.ts';
import { toHex } from '../base/bytes.ts';
import { readKeyFile } from '../settings/key.ts';
import { keyId } from '../wire/keys.ts';
import { usageError } from './commands.ts';
import { addKey, dropKeys, newKeyFile, useNewestKey, type Keys } from './key-file.ts';

const STEPS: Readonly<Record<string, { readonly change: (path: string) => Keys; readonly next: string }>> = {
  new: { change: newKeyFile, next: 'copy the file to every node, mode 0600' },
  add: { change: addKey, next: 'copy the file to every node and send each agent SIGHUP; then: stillbeat key use' },
  use: {
    change: useNewestKey,
    next: 'copy the file to every node and send each agent SIGHUP; then: stillbeat key drop',
  },
  drop: { change: dropKeys, next: 'copy the file to every node and send each agent SIGHUP' },
  show: { change: readKeyFile, next: '' },
};

export async function key(argv: string[]): Promise<number> {
  const { positionals } = parseArgs({ args: argv, options: {}, allowPositionals: true });
  const [name = '', file, ...rest] = positionals;
  const step = Object.hasOwn(STEPS, name) ? STEPS[name] : undefined;
  if (!step) throw usageError('key', name === '' ? 'a step is needed' : `no step ${name}`);
  if (file === undefined || rest.length > 0) throw usageError('key', 'one FILE is needed');
  process.stdout.write(linesOf(step.change(file)));
  if (step.next !== '') process.stdout.write(`next: ${step.next}\n`);
  return EXIT.ok;
}

const linesOf = (keys: Keys): string =>
  keys.map((each, i) => `${toHex(keyId(each))}  ${i === 0 ? 'seals and opens' : 'opens'}\n`).join('');
