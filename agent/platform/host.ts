/** Facts about the host. */
import { readFileSync } from 'node:fs';

/** 16 bytes that are new at each boot: a head block with another one was written by another host, or before a reboot. */
export function bootId(): Uint8Array {
  const text = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '');
  return Uint8Array.from(Buffer.from(text, 'hex'));
}
