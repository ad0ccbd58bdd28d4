/** What a command's output never goes over, whatever it is told: what volumes, journals and recordings are made of, and what is being written. */
import { existsSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { dataView } from '../base/bytes.ts';
import { AgentError } from '../base/errors.ts';
import { isRecording, lockPath } from '../history/store/files.ts';
import { CONTROL_MAGIC, DATA_MAGIC } from '../history/wire/layout.ts';
import { isMirrorFile } from '../inspect/mirror-file.ts';
import { beginningOf } from '../platform/output-file.ts';
import { fileWriter } from '../platform/volume-hold.ts';
import { BLOCK_BYTES, SUPERBLOCK_COPIES, SUPERBLOCK_MAGIC } from '../volume/layout.ts';

/** Of a file that is there. Throws when it has to stay as it is. */
export function refuseOwn(option: string, path: string): void {
  const what = ownKind(path) ?? fileWriter(path);
  if (what !== null) throw new AgentError('usage', `${option} ${path} is ${what}: name another file`);
}

function ownKind(path: string): string | null {
  const start = beginningOf(path, SUPERBLOCK_COPIES * BLOCK_BYTES);
  const copies = Array.from({ length: SUPERBLOCK_COPIES }, (_, copy) => copy * BLOCK_BYTES);
  const isVolume = copies.some((at) => start.toString('latin1', at, at + SUPERBLOCK_MAGIC.length) === SUPERBLOCK_MAGIC);
  if (isVolume) return 'a volume';
  if (isMirrorFile(path)) return 'a journal or a log device of a mirror';
  const magic = start.length < 4 ? 0 : dataView(start).getUint32(0, true);
  // Not all that is in its folder says so itself.
  const folder = dirname(realpathSync(path));
  const isInside = isRecording(folder) && existsSync(lockPath(folder));
  const isPart = magic === CONTROL_MAGIC || magic === DATA_MAGIC || isInside;
  return isPart ? 'a part of a recording' : null;
}
