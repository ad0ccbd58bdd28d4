/** A journal's file or a send volume as the system offers it, through the page cache: only this process writes it. */
import { closeSync, constants, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import { bytesOf } from '../../platform/file-bytes.ts';
import { punchHole, zeroRange } from '../../platform/sparse-file.ts';
import type { VolumeDevice } from './volume-loop.ts';

const ZEROES = new Uint8Array(1024 * 1024);
const EIO = 5;

export class FileDevice implements VolumeDevice {
  readonly bytes: number;
  readonly fd: number;

  private constructor(fd: number, bytes: number) {
    this.fd = fd;
    this.bytes = bytes;
  }

  /** The device, or a negative errno. */
  static open(path: string): FileDevice | number {
    return attempt(() => {
      const fd = openSync(path, constants.O_RDWR);
      return new FileDevice(fd, bytesOf(fd));
    });
  }

  read(offset: number, into: Uint8Array): number {
    return attempt(() => {
      let done = 0;
      while (done < into.length) {
        const count = readSync(this.fd, into, done, into.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    });
  }

  write(offset: number, from: Uint8Array): number {
    return attempt(() => {
      let done = 0;
      while (done < from.length) done += writeSync(this.fd, from, done, from.length - done, offset + done);
      return done;
    });
  }

  flush(): number {
    return attempt(() => {
      fdatasyncSync(this.fd);
      return 0;
    });
  }

  zero(offset: number, length: number, mayPunch: boolean): number {
    if (mayPunch && punchHole(this.fd, offset, length) === 0) return 0;
    if (zeroRange(this.fd, offset, length) === 0) return 0;
    for (let done = 0; done < length;) {
      const some = Math.min(ZEROES.length, length - done);
      const put = this.write(offset + done, ZEROES.subarray(0, some));
      if (put < 0) return put;
      done += some;
    }
    return 0;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** The answer, or the negative errno of what was thrown. */
function attempt<T>(action: () => T): T | number {
  try {
    return action();
  } catch (error) {
    const { errno } = error as NodeJS.ErrnoException;
    return errno !== undefined && errno < 0 ? errno : -EIO;
  }
}
