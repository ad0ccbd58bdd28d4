/** Whether a folder can hold the recording of a target: that, or nothing yet. One that is damaged is told by who opens it. */
import { mkdirSync, readdirSync } from 'node:fs';
import { AgentError } from '../../base/errors.ts';
import { isRecording, readHead, type RecordingHead } from '../store/files.ts';
import { checkOwner } from '../store/make.ts';
import type { RecorderContext } from './recorder-context.ts';

/** A file system of its own has one. */
const NOT_OURS = new Set(['lost+found', 'lock']);

/** Throws an AgentError that says what to do. */
export function checkFolder({ folder, monitor, volumes }: RecorderContext): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const other = isRecording(folder) ? undefined : readdirSync(folder).find((name) => !isPartOf(name));
    if (other !== undefined) {
      throw new AgentError('volume', `history ${folder} holds other things (${other}): name a folder of its own`);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTDIR' || code === 'EEXIST')
      throw new AgentError('volume', `history ${folder} is no folder: name another path`, { cause: error });
    if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
      throw new AgentError('volume', `history ${folder} cannot be made or written (${code}): check the path`, {
        cause: error,
      });
    throw error;
  }
  const head = headOf(folder);
  if (head) checkOwner(head, { folder, monitor, volumes, generation: '', keepsBase: true });
}

function headOf(folder: string): RecordingHead | null {
  try {
    return readHead(folder);
  } catch {
    return null;
  }
}

/** What a crash leaves of a recording that was just being made. */
const isPartOf = (name: string): boolean =>
  NOT_OURS.has(name) || /^head\.(copy|new|copy\.new)$/.test(name) || /^base-\d+(\.sums)?$/.test(name);
