/**
 * `stillbeat diff SEND RECEIVE [--json] [--key-file FILE | --config FILE]`: a send volume beside its copy: how far the copy is
 * behind, and what differs. Reads only; both may be live.
 */
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { escaped } from '../base/text.ts';
import { sizeText } from '../check/system.ts';
import { mismatch, SlotComparison, writtenSlots, type Difference, type SlotDiff } from '../inspect/diff.ts';
import { InspectedVolume } from '../inspect/inspected-volume.ts';
import { checkKey } from '../inspect/openers.ts';
import { windowBytesFor } from '../inspect/ring-walk.ts';
import { showProgress } from '../inspect/progress.ts';
import { yieldToOthers } from '../platform/priority.ts';
import { refuseUsage, reportError } from './arguments.ts';
import { chosenKeys, keyChoice } from './inspect-arguments.ts';

interface DiffRequest {
  readonly send: string;
  readonly receive: string;
  readonly json: boolean;
  readonly key: ReturnType<typeof keyChoice>;
}

/** Exit status 0: the same, or only behind; 1: something differs; 2: bad usage; 3: no two volumes of one cluster; 4: the key differs. */
export async function diff(argv: string[]): Promise<number> {
  let request: DiffRequest;
  try {
    request = readArguments(argv);
  } catch (caught) {
    return refuseUsage('diff', caught);
  }
  try {
    yieldToOthers();
    return await compare(request);
  } catch (caught) {
    return reportError('diff', caught);
  }
}

function readArguments(argv: string[]): DiffRequest {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: { json: { type: 'boolean', default: false }, 'key-file': { type: 'string' }, config: { type: 'string' } },
  });
  const [send, receive, ...more] = positionals;
  if (send === undefined || receive === undefined) throw new Error('SEND and RECEIVE are two volumes');
  if (more.length > 0) throw new Error(`two volumes, not also ${more.join(' ')}`);
  return { send, receive, json: values.json, key: keyChoice(values) };
}

async function compare(request: DiffRequest): Promise<number> {
  const keys = chosenKeys(request.key);
  const receive = InspectedVolume.open(request.receive);
  let send: InspectedVolume | null = null;
  try {
    send = InspectedVolume.open(request.send);
    const why = mismatch(send, receive);
    if (why !== null) {
      const what = `${escaped(request.receive)} is no copy of ${escaped(request.send)}`;
      throw new AgentError('volume', `${what}: ${why}; check the two paths`);
    }
    const heads = send.readHeads();
    if (keys !== null && heads !== null) checkKey(send, heads, keys);
    const slots = await comparedSlots(send, receive, keys);
    const tables = tableProblem(send, receive);
    const isSame = tables === null && slots.every(({ differences }) => differences.length === 0);
    if (request.json) {
      const document = { send: side(send), receive: side(receive), same: isSame, tables, nodes: slots };
      process.stdout.write(`${JSON.stringify(document)}\n`);
    } else process.stdout.write(text(send, receive, slots, tables));
    return isSame ? EXIT.ok : EXIT.failed;
  } finally {
    send?.close();
    receive.close();
  }
}

async function comparedSlots(
  send: InspectedVolume,
  receive: InspectedVolume,
  keys: readonly Uint8Array[] | null,
): Promise<SlotDiff[]> {
  const slots = writtenSlots(send, receive);
  const windowBytes = windowBytesFor(slots.length);
  const written = slots.map((slot) => new SlotComparison(send, receive, slot, keys, windowBytes));
  const progress = showProgress(
    written.map(({ walk }) => walk),
    send.superblock.slotBytes,
  );
  const never = new AbortController().signal;
  for (const slot of written) for (const _ of slot.compare()) await progress.step(never);
  progress.end();
  return written.map(({ diff }) => diff);
}

function tableProblem(send: InspectedVolume, receive: InspectedVolume): string | null {
  const [a, b] = [send.superblock, receive.superblock];
  const isSame = a.nodes.every((node, slot) => node === b.nodes[slot] && a.tenants[slot] === b.tenants[slot]);
  return isSame ? null : `the node tables differ: revision ${a.revision} on the send volume, ${b.revision} on the copy`;
}

const side = ({ device, clusterName, uuid }: InspectedVolume): Record<string, unknown> => ({
  volume: escaped(device.path),
  cluster: clusterName,
  uuid,
});

const told = (count: number): string => `${count} ${count === 1 ? 'batch' : 'batches'}`;

function text(
  send: InspectedVolume,
  receive: InspectedVolume,
  slots: readonly SlotDiff[],
  tables: string | null,
): string {
  const lines = [`${send.device.path} and its copy ${receive.device.path}: cluster ${send.clusterName}, ${send.uuid}`];
  if (tables !== null) lines.push(`  ! ${tables}`);
  for (const slot of slots) lines.push(...slotLines(slot));
  if (slots.length === 0) lines.push('  no node has written');
  return lines.map((line) => `${escaped(line)}\n`).join('');
}

function slotLines({ node, slot, send, receive, behindMs, same, notCopied, differences }: SlotDiff): string[] {
  const at = (end: SlotDiff['send']): string =>
    end === null ? 'nothing' : `position ${end.position} (#${end.orderMark})`;
  const behind = behindMs === null ? '' : `, ${(behindMs / 1000).toFixed(3)} s behind`;
  const { batches, bytes, firstMark, lastMark, since } = notCopied;
  return [
    `node ${node} (slot ${slot}): ${at(send)} on the send volume, ${at(receive)} on the copy${behind}`,
    `  the same        ${told(same.batches)}, ${sizeText(same.bytes)}`,
    `  not copied yet  ${told(batches)}, ${sizeText(bytes)}${batches === 0 ? '' : `: #${firstMark} to #${lastMark}, the oldest of ${since}`}`,
    `  different       ${told(differences.length)}`,
    ...runsOf(differences).map(runText),
  ];
}

/** Differences that follow one another for one reason. */
type Run = readonly [Difference, ...Difference[]];

function runsOf(differences: readonly Difference[]): Run[] {
  const runs: [Difference, ...Difference[]][] = [];
  for (const found of differences) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    const follows = last?.reason === found.reason && last.position + last.bytes === found.position;
    if (run && follows) run.push(found);
    else runs.push([found]);
  }
  return runs;
}

function runText(run: Run): string {
  const [first] = run;
  const last = run.at(-1) ?? first;
  const bytes = run.reduce((sum, each) => sum + each.bytes, 0);
  const marks = run.flatMap(({ orderMark }) => (orderMark === null ? [] : [orderMark]));
  const [from, to] = [marks[0], marks.at(-1)];
  const of = from === undefined ? '' : from === to ? ` of #${from}` : `, ${told(run.length)}, #${from} to #${to}`;
  const place = last === first ? `at ${first.position}` : `from ${first.position} on`;
  return `  ! ${place}, ${bytes} bytes${of}: ${first.reason}`;
}
