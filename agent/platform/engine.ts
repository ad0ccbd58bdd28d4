/** The JavaScript engine, as an agent wants it. */
import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { raiseHelper } from './native.ts';

/**
 * The threads' loops run a few hundred times a second at first, each time for microseconds: V8 would take minutes to find
 * them hot. With a smaller budget it compiles them within the first seconds; measured on a ping through storage, the
 * switch thread needs a quarter less processor time and the flush thread a fifth.
 *
 * The young garbage is collected by the thread that made it. For the rest a thread of ours waits for the engine's helpers, also until
 * one that compiles comes to a point where it can be stopped. At ordinary priority that was behind everything else on the host: with
 * three busy programs on two cores the main thread stood still for 50 to 100 ms several times in 6 s. So they run
 * behind our threads, and before all others. To be called before threads start: those that are there then are the engine's.
 */
export function tuneEngine(): void {
  setFlagsFromString('--interrupt-budget=8000');
  setFlagsFromString('--no-parallel-scavenge');
  for (const thread of readdirSync('/proc/self/task').map(Number)) if (thread !== process.pid) raiseHelper(thread);
}

/**
 * As a process of the mirror wants it, which moves much data and holds little. V8 counts buffers outside of its heap, and those
 * in which TLS keeps its records, against a bound that follows the heap: with 13 MB there, some MB of data on their way were
 * reason enough to collect everything, five times a second, and a third of the processor went into that. The bound is five
 * times the heap instead; measured with synchronous writes: a third fewer microseconds for each. To be called before threads start.
 */
export function tuneForData(): void {
  setFlagsFromString('--heap-growing-percent=400');
  setFlagsFromString('--interrupt-budget=8000');
}
