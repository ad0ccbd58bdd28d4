/** [HI6] What the head keeps of clocks. */
import type { ClockNote } from '../core/clock.ts';
import { writeHead, type RecordingHead } from './files.ts';
import { loadRecording, type Loaded } from './load.ts';

/** With one more, and without what a fold has left behind. */
export function withClock({ base, clocks: former = [] }: RecordingHead, note: ClockNote): readonly ClockNote[] {
  const clocks = [...former, note];
  const isOver = ({ unclear }: ClockNote, i: number): boolean =>
    (clocks[i + 1]?.mark ?? Infinity) <= base.mark && (unclear?.untilUs ?? 0) < base.timeUs;
  return clocks.filter((one, i) => !isOver(one, i));
}

/** With the list in its head. Of one that an earlier program made it is written: what is not clear may be anything until now. */
export function withClocks(loaded: Loaded, nowUs: number): Loaded {
  const { folder, head, clocks, extent } = loaded;
  if (head.clocks) return loaded;
  const unclear = { upTo: extent.spans.at(-1)?.to ?? head.base.mark, fromUs: 0, untilUs: nowUs };
  const listed = { ...head, clocks: clocks.map((note) => (note.unclear ? { ...note, unclear } : note)) };
  writeHead(folder, listed);
  return { ...loaded, head: listed };
}

/** When this mark was given. */
export function timeOf(folder: string, mark: number): number {
  const { table, times, head } = loadRecording(folder);
  return times[table.placeOf(mark)] ?? head.base.timeUs;
}
