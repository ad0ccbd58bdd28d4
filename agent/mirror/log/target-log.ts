/** A target at the log device: asks whether it is outdated, and claims the role of the source. */
import type { LogWord } from '../core/takeover.ts';
import { generationBytes, generationText } from '../link/greeting.ts';
import type { LogDevice } from '../machine.ts';
import { LOG_KIND, type LogRecord } from './record.ts';
import { readRecords, writeRecord } from './slots.ts';

export interface Who {
  readonly group: string;
  readonly name: string;
  /** That it holds, as hexadecimal text. */
  readonly generation: string;
  /** Former ones of it, newest first, as hexadecimal text. */
  readonly ancestry: readonly string[];
}

export interface Claim {
  /** The generation that it begins. */
  readonly generation: Uint8Array;
  /** The last mark that it holds of the one before. */
  readonly mark: number;
}

const unreadable = (reason: string): LogWord => ({ says: 'unreadable', reason });

/**
 * Claims the role, and then asks what the source says: so of it and of a source that goes on alone at the same time one sees
 * the other. The claim is to be withdrawn when the takeover does not come about.
 */
export async function claimRole(log: LogDevice | null, who: Who, claim: Claim): Promise<LogWord> {
  return attempt(log, async (device) => {
    const source = await ownRecord(device, who);
    if (typeof source === 'string') return unreadable(source);
    await writeRecord(device, slotOf(source, who), recordOf(who, claim, true));
    return readWord(device, who);
  });
}

/** Never rejects: a claim that stays makes a source look again, and no more. */
export async function withdrawRole(log: LogDevice | null, who: Who, claim: Claim): Promise<void> {
  await attempt(log, async (device) => {
    const source = await ownRecord(device, who);
    if (typeof source !== 'string') await writeRecord(device, slotOf(source, who), recordOf(who, claim, false));
    return { says: 'nothing' };
  });
}

async function readWord(device: LogDevice, who: Who): Promise<LogWord> {
  const source = await ownRecord(device, who);
  if (typeof source === 'string') return unreadable(source);
  const since = source.targets[slotOf(source, who) - 1]?.outdatedSince ?? null;
  return since === null ? { says: 'nothing' } : { says: 'outdated', cut: since };
}

/** The source's record, when it speaks of this target in this generation; else why not. */
async function ownRecord(device: LogDevice, { group, name, generation }: Who): Promise<LogRecord | string> {
  const [source] = await readRecords(device, [0]);
  if (!source) return 'the source has written nothing there that holds';
  if (source.group !== group) return `it is of group "${source.group}"`;
  if (generationText(source.generation) !== generation) return 'it speaks of another generation';
  return source.targets.some((target) => target.name === name) ? source : 'it does not speak of this target';
}

const slotOf = ({ targets }: LogRecord, { name }: Who): number =>
  1 + targets.findIndex((target) => target.name === name);

const recordOf = (
  { group, generation, ancestry }: Who,
  claim: Claim,
  isStanding: boolean,
): Omit<LogRecord, 'sequence'> => ({
  kind: LOG_KIND.claim,
  group,
  generation: claim.generation,
  parent: generationBytes(generation),
  ancestors: ancestry.map(generationBytes),
  branchMark: claim.mark,
  isStanding,
  targets: [],
});

async function attempt(log: LogDevice | null, action: (device: LogDevice) => Promise<LogWord>): Promise<LogWord> {
  if (!log) return unreadable('none is set: log.path');
  try {
    return await action(log);
  } catch (error) {
    return unreadable(error instanceof Error ? error.message : String(error));
  }
}
