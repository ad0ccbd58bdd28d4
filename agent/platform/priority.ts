/** A command that looks at what others need more: it takes the processor and the disk last. */
import { constants, getPriority, setPriority } from 'node:os';
import { setIoPriority } from './native.ts';

/** Threads that are made later take it over. What the system refuses is left as it is. */
export function yieldToOthers(): void {
  const { PRIORITY_BELOW_NORMAL } = constants.priority;
  try {
    if (getPriority() < PRIORITY_BELOW_NORMAL) setPriority(PRIORITY_BELOW_NORMAL);
  } catch {
    // No right to, or no such call: then nothing is lost but politeness.
  }
  setIoPriority();
}
