/** The JavaScript engine, as an agent wants it. */
import { setFlagsFromString } from 'node:v8';

/**
 * The threads' loops run a few hundred times a second at first, each time for microseconds: V8 would take minutes to find
 * them hot. With a smaller budget it compiles them within the first seconds; measured on a ping through storage, the
 * switch thread needs a quarter less processor time and the flush thread a fifth.
 *
 * Garbage is collected by the thread that made it: helper threads run at ordinary priority, and a thread of ours that
 * waited for one would wait behind everything else on the host. To be called before threads start.
 */
export function tuneEngine(): void {
  setFlagsFromString('--interrupt-budget=8000');
  setFlagsFromString('--no-parallel-scavenge');
}
