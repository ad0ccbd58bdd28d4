/** A file that a command makes: never written over a device, over what the agent needs, or over another's work. */
import { closeSync, openSync, readSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';

/** What may not be replaced, by whatever name it is reached. */
export interface Precious {
  readonly what: string;
  readonly path: string;
}

/** What stands there: 'none', a 'file' or a 'pipe'. Throws when it is anything else, or one of the precious ones. */
export function outputKind(option: string, path: string, precious: readonly Precious[]): 'none' | 'file' | 'pipe' {
  const there = look(path);
  if (!there) return 'none';
  if (!there.isFile() && !there.isFIFO()) {
    throw new AgentError('usage', `${option} ${path} is neither a file nor a pipe: name another one`);
  }
  for (const { what, path: own } of precious) {
    const it = statSync(own, { throwIfNoEntry: false });
    if (it && it.ino === there.ino && it.dev === there.dev) {
      throw new AgentError('usage', `${option} ${path} is ${what} itself: name another file`);
    }
  }
  return there.isFIFO() ? 'pipe' : 'file';
}

function look(path: string): ReturnType<typeof statSync> {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (caught) {
    throw outputError(path, caught);
  }
}

/** The first bytes of a file, to see whose it is. */
export function beginningOf(path: string, bytes: number): Buffer {
  try {
    const fd = openSync(path, 'r');
    try {
      const memory = Buffer.alloc(bytes);
      return memory.subarray(0, readSync(fd, memory, 0, bytes, 0));
    } finally {
      closeSync(fd);
    }
  } catch (caught) {
    throw outputError(path, caught);
  }
}

/** Whole or not at all; what a link names is replaced, not the link. A pipe is written into. */
export function writeWhole(path: string, kind: 'none' | 'file' | 'pipe', text: string): void {
  let beside: string | null = null;
  try {
    if (kind === 'pipe') return writeFileSync(path, text);
    const target = kind === 'file' ? realpathSync(path) : path;
    const name = `${target}.${process.pid}.new`;
    writeFileSync(name, text, { mode: 0o600, flag: 'wx' });
    beside = name;
    renameSync(name, target);
  } catch (caught) {
    if (beside !== null) rmSync(beside, { force: true });
    throw outputError(path, caught);
  }
}

export const outputError = (path: string, caught: unknown): AgentError => {
  const { code } = caught as NodeJS.ErrnoException;
  return new AgentError('failed', `${path} cannot be written (${code}): check the path, your rights and free space`, {
    cause: caught,
  });
};
