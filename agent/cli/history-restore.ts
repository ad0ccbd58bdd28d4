/**
 * `stillbeat history restore --at TIME VOLUME`: an earlier state onto a volume, its own or another. Without `--yes` it only says what
 * would be written. A restore that was interrupted leaves a mix of two states: the next one makes it whole.
 */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { AgentError, EXIT } from '../base/errors.ts';
import { timeText } from '../history/core/spans.ts';
import { loadRecording } from '../history/store/load.ts';
import { State, STEP_BYTES } from '../history/store/state.ts';
import { blockDeviceBytes } from '../platform/block-device.ts';
import { holdVolume } from '../platform/volume-hold.ts';
import { usageError } from './commands.ts';
import { momentOf, oneFolder, parse } from './history-open.ts';
import { Walk } from './history-progress.ts';
import { bytesText } from './mirror-text.ts';

const BLOCK_BYTES = 4096;

export async function restore(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv, {
    at: { type: 'string' },
    volume: { type: 'string' },
    yes: { type: 'boolean' },
  });
  const [path, ...more] = positionals;
  if (path === undefined || more.length > 0) throw usageError('history', 'history restore takes one volume');
  const loaded = loadRecording(oneFolder(values));
  const moment = momentOf(loaded, values.at);
  const { volumes, monitor } = loaded.head;
  const index = volumeIndex(volumes, values.volume);
  const volume = volumes[index] ?? { name: '', bytes: 0 };
  const hold = holdForRestore(path);
  const state = new State(loaded, moment.mark);
  try {
    const fd = openSync(path, 'r+');
    try {
      const there = sizeOf(fd);
      if (there < volume.bytes) {
        throw new AgentError(
          'volume',
          `${path} has ${there} bytes, and volume ${volume.name} ${volume.bytes}: name one as large`,
        );
      }
      const isReal = values.yes === true;
      const written = await copy(state, index, volume.bytes, fd, isReal, values.json === true);
      const document = { monitor, volume: volume.name, onto: path, mark: moment.mark, time: timeText(moment.timeUs) };
      const figures = { ...document, differingBytes: written, bytes: volume.bytes, written: isReal };
      process.stdout.write(values.json === true ? `${JSON.stringify(figures)}\n` : restoredText(figures));
    } finally {
      closeSync(fd);
    }
  } finally {
    state.close();
    hold.close();
  }
  return EXIT.ok;
}

function restoredText(figures: {
  readonly volume: string;
  readonly onto: string;
  readonly mark: number;
  readonly time: string;
  readonly differingBytes: number;
  readonly bytes: number;
  readonly written: boolean;
}): string {
  const { volume, onto, mark, time, differingBytes, bytes, written } = figures;
  const what = `${volume} as of mark ${mark}, written ${time}`;
  const amount = `${bytesText(differingBytes)} of ${bytesText(bytes)}`;
  if (written) return `${what}, is on ${onto}: ${amount} were written\n`;
  return `${what}: ${amount} on ${onto} differ and would be written; to do that, say it again with --yes\n`;
}

/** The volume that is meant: the only one, or by name. */
export function volumeIndex(volumes: readonly { readonly name: string }[], name: string | undefined): number {
  const names = volumes.map((volume) => volume.name).join(', ');
  if (name === undefined) {
    if (volumes.length === 1) return 0;
    throw usageError('history', `--volume is missing: there are ${names}`);
  }
  const index = volumes.findIndex((volume) => volume.name === name);
  if (index < 0) throw usageError('history', `there is no volume ${name}, but ${names}`);
  return index;
}

/** Nobody else may write it, and no mirror may have it: what is restored would go past it. */
function holdForRestore(path: string): { close(): void } {
  try {
    return holdVolume('to restore onto', path);
  } catch (error) {
    if (error instanceof AgentError && error.reason === 'taken') {
      throw new AgentError(
        'taken',
        error.message.replace(/: end that first.*$/, ': end that first; nothing was written'),
        {
          cause: error,
        },
      );
    }
    throw error instanceof AgentError
      ? error
      : new AgentError(
          'volume',
          `${path} cannot be opened (${(error as NodeJS.ErrnoException).code}): check the path`,
          {
            cause: error,
          },
        );
  }
}

function sizeOf(fd: number): number {
  const stat = fstatSync(fd);
  return stat.isBlockDevice() ? blockDeviceBytes(fd) : stat.size;
}

/** Bytes of the blocks that differ; with `isReal` they are written, and flushed. */
async function copy(
  state: State,
  volume: number,
  bytes: number,
  fd: number,
  isReal: boolean,
  isQuiet: boolean,
): Promise<number> {
  const [wanted, there] = [new Uint8Array(STEP_BYTES), new Uint8Array(STEP_BYTES)];
  const walk = new Walk(isReal ? 'restoring' : 'comparing', bytes, isQuiet);
  let differing = 0;
  for (let done = 0; done < bytes; done += STEP_BYTES) {
    const length = Math.min(STEP_BYTES, bytes - done);
    state.read(volume, done, wanted.subarray(0, length));
    for (let at = 0; at < length;) {
      const count = readSync(fd, there, at, length - at, done + at);
      if (count === 0) break;
      at += count;
    }
    for (let at = 0; at < length; at += BLOCK_BYTES) {
      const end = Math.min(length, at + BLOCK_BYTES);
      if (Buffer.compare(wanted.subarray(at, end), there.subarray(at, end)) === 0) continue;
      differing += end - at;
      if (isReal) for (let put = at; put < end;) put += writeSync(fd, wanted, put, end - put, done + put);
    }
    await walk.at(done);
  }
  walk.end();
  if (isReal) fdatasyncSync(fd);
  return differing;
}
