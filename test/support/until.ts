import { setTimeout as sleep } from 'node:timers/promises';

const BOUND_MS_DEFAULT = 30_000;

/** Waits until `look` finds something (anything but false, null and undefined) and returns it; fails after the bound. */
export async function until<T>(
  what: string,
  look: () => T | false | null | undefined,
  boundMs: number = BOUND_MS_DEFAULT,
): Promise<T> {
  const end = performance.now() + boundMs;
  for (;;) {
    const found = look();
    if (found !== false && found !== null && found !== undefined) return found;
    if (performance.now() > end) throw new Error(`waited ${boundMs} ms in vain: ${what}`);
    await sleep(1);
  }
}
