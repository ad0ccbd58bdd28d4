/** The machine that this process runs on. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  read,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { readAllocation } from '../nbd/allocation.ts';
import { NbdServer } from '../nbd/server.ts';
import type { Extent } from '../nbd/volume.ts';
import { BlockDevice } from '../platform/block-device.ts';
import { bytesOf } from '../platform/file-bytes.ts';
import { systemClock } from '../platform/clock.ts';
import { dialLink, listenForLinks } from './link/tls.ts';
import { flushFolder } from '../platform/flush-folder.ts';
import { fileLog } from './log/log-file.ts';
import type { FileReader, Machine } from './machine.ts';
import { formatInTurns, isUnmade } from './source/format-journal.ts';
import { startApplyThread } from './threads/apply-context.ts';
import { startJournalThread, startVolumeThread } from './threads/context.ts';
import { FileDevice } from './threads/file-device.ts';
import { Scanner } from './threads/scan-context.ts';

const EIO = 5;

export const systemMachine: Machine = {
  clock: systemClock,
  timers: {
    after: (ms, action) => {
      const timer = setTimeout(action, ms);
      return () => clearTimeout(timer);
    },
    idly: (ms, action) => {
      const timer = setTimeout(action, ms).unref();
      return () => clearTimeout(timer);
    },
    every: (ms, action) => {
      const timer = setInterval(action, ms);
      return () => clearInterval(timer);
    },
    soon: (action) => void setImmediate(action),
  },
  files: {
    isUnmade,
    make: formatInTurns,
    open: (path) => FileDevice.open(path),
    reader: (path) => new PooledReader(path),
    put: putFile,
    take: takeFile,
    lock: lockFile,
    log: fileLog,
  },
  threads: {
    journal: startJournalThread,
    volume: startVolumeThread,
    apply: startApplyThread,
    scanner: (context) => new Scanner(context),
  },
  network: { dial: dialLink, listen: listenForLinks, serve: async (options) => NbdServer.open(options) },
  random: (bytes) => new Uint8Array(randomBytes(bytes)),
};

/** Two processes that write one ring would destroy it. The kernel gives the lock back when the process ends, however it does. */
function lockFile(path: string): { close(): void } {
  const device = BlockDevice.open(path);
  if (device.lock(0, 1) === 0) return device;
  device.close();
  throw new AgentError('taken', `journal ${path} is in use by another process: stop that one first`);
}

function putFile(path: string, bytes: Uint8Array): void {
  const half = `${path}.new`;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(half, bytes, { mode: 0o600, flush: true });
  renameSync(half, path);
  flushFolder(path);
}

function takeFile(path: string): Uint8Array | null {
  if (!existsSync(path)) return null;
  const bytes = readFileSync(path);
  rmSync(path);
  flushFolder(path);
  return bytes;
}

/** Reads over the pool of threads. */
class PooledReader implements FileReader {
  readonly bytes: number;
  readonly #fd: number;
  readonly #isFile: boolean;

  constructor(path: string) {
    this.#fd = openSync(path, 'r');
    this.#isFile = fstatSync(this.#fd).isFile();
    this.bytes = bytesOf(this.#fd);
  }

  read(offset: number, into: Uint8Array, done: (errno: number) => void): void {
    read(this.#fd, into, 0, into.length, offset, (error, count) => {
      if (error) return done(-(error.errno ?? -EIO));
      if (count === into.length) return done(0);
      if (count === 0) return done(EIO);
      this.read(offset + count, into.subarray(count), done);
    });
  }

  allocation(offset: number, length: number, done: (extents: readonly Extent[]) => void): void {
    // The kernel knows holes of files alone.
    if (this.#isFile) readAllocation(this.#fd, offset, length, done);
    else done([{ length, flags: 0 }]);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
