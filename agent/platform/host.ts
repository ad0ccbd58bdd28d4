/** Facts about the host. */
import { readFileSync } from 'node:fs';

/** 16 bytes that are new at each boot: a head block with another one was written by another host, or before a reboot. */
export function bootId(): Uint8Array {
  const text = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim().replaceAll('-', '');
  return Uint8Array.from(Buffer.from(text, 'hex'));
}

/** Whether a process of this host has this id and is not dead (one that nobody has waited for yet is). */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The state follows the name, which stands in parentheses and may hold any character.
    return !/^\) [ZX]/.test(stat.slice(stat.lastIndexOf(')')));
  } catch {
    return false;
  }
}
