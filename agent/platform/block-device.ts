/**
 * A volume as the system offers it: a block device or a file, read and written around the page cache where that is
 * possible. Blocking; for workers and start-up code.
 */
import { fstatSync, statSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import type { Disk } from '../volume/disk.ts';
import { ERRNO, errnoName, O_CLOEXEC, O_DIRECT, O_RDWR, sys } from './native.ts';

const BLKGETSIZE64 = 0x80081272;
const BLKSSZGET = 0x1268;
const F_OFD_SETLK = 37;
const F_WRLCK = 1;

export class BlockDevice implements Disk {
  readonly path: string;
  readonly fd: number;
  readonly bytes: number;
  readonly sectorBytes: number;
  /** False where the target refuses O_DIRECT: then another host may see old blocks, and `status` says so. */
  readonly isDirect: boolean;
  readonly isBlockDevice: boolean;

  private constructor(path: string, fd: number, bytes: number, sectorBytes: number, direct: boolean, block: boolean) {
    this.path = path;
    this.fd = fd;
    this.bytes = bytes;
    this.sectorBytes = sectorBytes;
    this.isDirect = direct;
    this.isBlockDevice = block;
  }

  /** Opens for reading, and for writing unless `readOnly`. Throws an AgentError that says what to do. */
  static open(path: string, options: { readOnly?: boolean } = {}): BlockDevice {
    const access = (options.readOnly === true ? 0 : O_RDWR) | O_CLOEXEC;
    let fd = sys.open(path, access | O_DIRECT, 0);
    const direct = fd >= 0;
    if (fd === -ERRNO.EINVAL) fd = sys.open(path, access, 0);
    if (fd < 0) throw openError(path, fd);
    const stat = fstatSync(fd);
    if (!stat.isBlockDevice() && !stat.isFile()) {
      sys.close(fd);
      throw new AgentError('volume', `volume ${path} is neither a block device nor a file: name one of these`);
    }
    if (!stat.isBlockDevice()) return new BlockDevice(path, fd, stat.size, 512, direct, false);
    const bytes = blockDeviceBytes(fd);
    const answer = new Uint8Array(8);
    const view = new DataView(answer.buffer);
    sys.ioctl(fd, BLKSSZGET, answer);
    return new BlockDevice(path, fd, bytes, view.getInt32(0, true) || 512, direct, true);
  }

  /** Tells this device from another of the same path: the number of a block device, or of a file and its file system. */
  get identity(): string {
    const { rdev, dev, ino } = fstatSync(this.fd);
    return this.isBlockDevice ? `device ${rdev}` : `file ${dev} ${ino}`;
  }

  /** The path names another file or device by now. One that names nothing may be on its way back. */
  get isReplaced(): boolean {
    const [there, here] = [statSync(this.path, { throwIfNoEntry: false }), fstatSync(this.fd)];
    if (!there) return false;
    return this.isBlockDevice ? there.rdev !== here.rdev : there.dev !== here.dev || there.ino !== here.ino;
  }

  read(offset: number, into: Uint8Array): number {
    return sys.pread(this.fd, into, into.length, offset);
  }

  write(offset: number, from: Uint8Array): number {
    return sys.pwrite(this.fd, from, from.length, offset);
  }

  /**
   * [ONE1] Locks a byte range of the volume for this open file (fcntl(2), open file description lock): 0, or a negative
   * errno when another process of this host has it. The kernel releases it when the process ends, however it ends.
   */
  lock(offset: number, length: number): number {
    return lockFile(this.fd, offset, length);
  }

  close(): void {
    sys.close(this.fd);
  }
}

/** As `BlockDevice.lock`, of any open file. */
export function lockFile(fd: number, offset: number, length: number): number {
  const flock = new Uint8Array(32);
  const view = new DataView(flock.buffer);
  view.setInt16(0, F_WRLCK, true);
  view.setBigInt64(8, BigInt(offset), true);
  view.setBigInt64(16, BigInt(length), true);
  return sys.fcntl(fd, F_OFD_SETLK, flock);
}

/** The size of an open block device. */
export function blockDeviceBytes(fd: number): number {
  const answer = new Uint8Array(8);
  sys.ioctl(fd, BLKGETSIZE64, answer);
  return Number(new DataView(answer.buffer).getBigUint64(0, true));
}

function openError(path: string, errno: number): AgentError {
  const mend: Record<number, string> = {
    [ERRNO.ENOENT]: 'does not exist: check the path, or make the device',
    [ERRNO.EACCES]: 'may not be opened: start as root or give the user the right to write it',
    [ERRNO.EPERM]: 'may not be opened: start as root or give the user the right to write it',
    30: 'is read-only: make it writable on this node',
    [ERRNO.EBUSY]: 'is in use: unmount it or name another one',
  };
  const what = mend[-errno] ?? `cannot be opened (${errnoName(errno)}): check the device`;
  return new AgentError('volume', `volume ${path} ${what}`);
}
