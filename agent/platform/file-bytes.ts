/** Bytes of an open file or block device: how many there are, and all of those that are asked for, which the kernel may give in parts. */
import { fstatSync, readSync, writeSync } from 'node:fs';
import { blockDeviceBytes } from './block-device.ts';

export function bytesOf(fd: number): number {
  const stat = fstatSync(fd);
  return stat.isBlockDevice() ? blockDeviceBytes(fd) : stat.size;
}

/** Beyond its end, which may have moved since somebody looked, there are zeroes. */
export function readAll(fd: number, offset: number, into: Uint8Array): void {
  for (let at = 0; at < into.length;) {
    const count = readSync(fd, into, at, into.length - at, offset + at);
    if (count === 0) return void into.fill(0, at);
    at += count;
  }
}

/** A file system that is getting full takes less than it was given, before it refuses. */
export function writeAll(fd: number, offset: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, offset + at);
}
