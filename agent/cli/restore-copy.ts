/** An earlier state brought onto something that holds another: what differs, and nothing else. */
import { AgentError } from '../base/errors.ts';
import { STEP_BYTES, type State } from '../history/store/state.ts';
import type { Walk } from './history-progress.ts';
import { bytesText } from './mirror-text.ts';
import { BLOCK_BYTES, type Onto } from './restore-onto.ts';

/** Steps under way at one time: while one is read another is compared, and a third one written. */
const LANES = 4;
const ZEROES = new Uint8Array(BLOCK_BYTES);

/** Blocks that follow each other and are treated alike. */
interface Run {
  readonly from: number;
  readonly to: number;
  readonly isZero: boolean;
}

export interface Restoring {
  readonly state: State;
  readonly volume: number;
  readonly bytes: number;
  readonly onto: Onto;
  /** Where that is, for what is said. */
  readonly where: string;
  /** Otherwise it only compares. */
  readonly isReal: boolean;
  readonly walk: Walk;
}

/** Bytes of the blocks that differ; when this is real they are written, and flushed. */
export async function restoreState(restoring: Restoring): Promise<number> {
  const { bytes, isReal, onto, walk } = restoring;
  const stepBytes = Math.min(STEP_BYTES, onto.stepBytesMax);
  let next = 0;
  let [differing, written] = [0, 0];
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    const [wanted, there] = [new Uint8Array(stepBytes), new Uint8Array(stepBytes)];
    while (next < bytes && failures.length === 0) {
      const offset = next;
      const length = Math.min(stepBytes, bytes - offset);
      next += length;
      restoring.state.read(restoring.volume, offset, wanted.subarray(0, length));
      await onto.read(offset, there.subarray(0, length));
      for (const { from, to, isZero } of runs(wanted.subarray(0, length), there, onto.canZero)) {
        differing += to - from;
        if (!isReal) continue;
        await (isZero ? onto.zero(offset + from, to - from) : onto.write(offset + from, wanted.subarray(from, to)));
        written += to - from;
      }
      await walk.at(offset);
    }
  };
  const caught = (error: unknown): void => void failures.push(error);
  await Promise.all(Array.from({ length: LANES }, async () => lane().catch(caught)));
  if (isReal && failures.length === 0) await onto.flush().catch(caught);
  walk.end();
  if (failures.length > 0) throw failed(failures[0], restoring, written);
  return differing;
}

/** Where `wanted` differs. */
function runs(wanted: Uint8Array, there: Uint8Array, canZero: boolean): Run[] {
  const found: Run[] = [];
  for (let from = 0; from < wanted.length; from += BLOCK_BYTES) {
    const block = wanted.subarray(from, from + BLOCK_BYTES);
    const to = from + block.length;
    if (Buffer.compare(block, there.subarray(from, to)) === 0) continue;
    const isZero = canZero && Buffer.compare(block, ZEROES.subarray(0, block.length)) === 0;
    const last = found.at(-1);
    if (last?.to === from && last.isZero === isZero) found[found.length - 1] = { from: last.from, to, isZero };
    else found.push({ from, to, isZero });
  }
  return found;
}

function failed(error: unknown, { where, isReal }: Restoring, written: number): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (!(error instanceof AgentError) && code === undefined) return error;
  const reason = error instanceof AgentError ? error.reason : 'volume';
  const what = error instanceof AgentError ? error.message : `${where} fails (${code}): check it`;
  const far =
    written === 0
      ? 'nothing was written'
      : `${bytesText(written)} were written to ${where}, which is a mix of two states until a restore goes through`;
  return new AgentError(reason, isReal ? `${what}; ${far}` : what, { cause: error });
}
