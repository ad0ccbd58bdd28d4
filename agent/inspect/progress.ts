/** A long walk: shows how far it has come (on a terminal, when it takes longer than a moment) and can be interrupted. */
import { setImmediate as breath } from 'node:timers/promises';

const SHOW_AFTER_MS = 1000;
const INTERVAL_MS = 100;
const BAR_CHARACTERS = 30;

export interface Progress {
  /** Now and then lets signals in; true when the walk is to end. */
  step(stop: AbortSignal): Promise<boolean> | boolean;
  end(): void;
}

export function showProgress(walks: readonly { readonly readBytes: number }[], slotBytes: number): Progress {
  const total = walks.length * slotBytes;
  const startMs = performance.now();
  let nextMs = startMs + INTERVAL_MS;
  let shown = false;
  const show = (): void => {
    shown = true;
    const share = Math.min(1, walks.reduce((sum, { readBytes }) => sum + readBytes, 0) / total);
    const bar = '#'.repeat(Math.round(share * BAR_CHARACTERS)).padEnd(BAR_CHARACTERS, '.');
    process.stderr.write(`\r[${bar}] ${Math.floor(share * 100)} %`);
  };
  return {
    step(stop) {
      const nowMs = performance.now();
      if (nowMs < nextMs) return false;
      nextMs = nowMs + INTERVAL_MS;
      if (process.stderr.isTTY && nowMs - startMs > SHOW_AFTER_MS) show();
      return breath().then(() => stop.aborted);
    },
    end() {
      if (shown) process.stderr.write('\r\u001b[K');
    },
  };
}
