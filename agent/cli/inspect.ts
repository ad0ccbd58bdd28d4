/**
 * `stillbeat inspect VOLUME`: what a volume holds, live or dead; `commands.ts` has the options. Reads only, takes no lock, and
 * lets everybody else have the processor and the disk first: a running agent is not disturbed. A journal or a log device of
 * the mirror is shown too.
 */
import { statSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { escaped } from '../base/text.ts';
import { follow } from '../inspect/follow.ts';
import { isRecording, recordingsIn } from '../history/store/files.ts';
import { FollowWatch } from '../inspect/follow-watch.ts';
import { isMirrorFile, showMirrorFile } from '../inspect/mirror-file.ts';
import { InspectedVolume } from '../inspect/inspected-volume.ts';
import { nodeViews, readSlotHeads, type SlotHead } from '../inspect/node-view.ts';
import { checkKey, isVolumeSealed, Openers } from '../inspect/openers.ts';
import { jsonLinesOutput, jsonOutput, pcapOutput, textOutput, type Output, type Report } from '../inspect/output.ts';
import { areThreadsWorth, mergedParts, RingPart } from '../inspect/parts.ts';
import { merged, RingWalk, windowBytesFor } from '../inspect/ring-walk.ts';
import { showProgress } from '../inspect/progress.ts';
import { Sink } from '../inspect/sink.ts';
import { verifyOutput } from '../inspect/verify-output.ts';
import { yieldToOthers } from '../platform/priority.ts';
import { refuseUsage, reportError } from './arguments.ts';
import { chosenKeys, readInspectArguments, type InspectRequest } from './inspect-arguments.ts';

/** So long behind the end that was asked for something of before it may still come. */
const LATE_US = 1_000_000;

/** Exit status 0: done; 1: --verify found damage; 2: bad usage; 3: no volume that can be read; 4: the key is missing or differs. */
export async function inspect(argv: string[]): Promise<number> {
  let request: InspectRequest;
  try {
    request = readInspectArguments(argv, Date.now());
  } catch (caught) {
    return refuseUsage('inspect', caught);
  }
  try {
    yieldToOthers();
    return await show(request);
  } catch (caught) {
    return reportError('inspect', caught);
  }
}

async function show(request: InspectRequest): Promise<number> {
  refuseRecording(request.path);
  if (isMirrorFile(request.path)) return showMirrorFile(request);
  const key = chosenKeys(request);
  const volume = InspectedVolume.open(request.path);
  try {
    const heads = volume.readHeads();
    const sealed = heads !== null && isVolumeSealed(heads);
    if (key !== null && heads !== null) checkKey(volume, heads, key);
    if (request.pcap !== null && sealed && key === null) {
      const mend = 'give its key with --key-file FILE or --config FILE';
      throw new AgentError('key', `volume ${request.path} is sealed, its packets cannot be read: ${mend}`);
    }
    const openers = new Openers(volume, key);
    const slotHeads = readSlotHeads(volume, heads, openers);
    const nodes = nodeViews(volume, slotHeads, Date.now());
    const wanted = { filter: request.filter, content: request.content };
    const report: Report = { volume, nodes, heads: slotHeads, sealed, hasKey: key !== null, wanted };
    const rings = new Rings(volume, openers, slotHeads, slotsOf(volume, request.node));
    return await write(request, key, report, rings);
  } finally {
    volume.close();
  }
}

/** The folder of a recorder, or of a log device: that has a command of its own. */
function refuseRecording(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return;
  const mend = `look at it with "stillbeat history list --store ${path}"`;
  if (isRecording(path) || recordingsIn(path).length > 0) {
    throw new AgentError('usage', `${path} is a folder of recordings, no volume: ${mend}`);
  }
}

function slotsOf(volume: InspectedVolume, node: string | null): readonly number[] {
  if (node === null) return volume.slots;
  const slot = volume.superblock.nodes.indexOf(node);
  if (node !== '' && slot >= 0) return [slot];
  const names = volume.slots.map((one) => volume.nodeName(one)).join(', ');
  throw new AgentError('usage', `--node ${node} is none of the nodes of volume ${volume.device.path}: ${names}`);
}

/** The rings that are wanted, each with its end. */
class Rings {
  readonly openers: Openers;
  readonly windowBytes: number;
  readonly walks: readonly RingWalk[];
  readonly ends: readonly { readonly position: number; readonly mark: number }[];

  constructor(volume: InspectedVolume, openers: Openers, heads: readonly SlotHead[], slots: readonly number[]) {
    this.openers = openers;
    const windowBytes = windowBytesFor(slots.length);
    this.windowBytes = windowBytes;
    const headOf = (slot: number) => heads.find((one) => one.slot === slot)?.head ?? null;
    this.walks = slots.map((slot) => {
      const writerPosition = (): number | null => {
        const now = readSlotHeads(volume, volume.readHeads(), openers);
        return now.find((one) => one.slot === slot)?.head?.position ?? null;
      };
      return new RingWalk(volume, slot, openers, { windowBytes, writerPosition });
    });
    this.ends = this.walks.map((walk) => {
      const head = headOf(walk.slot);
      return { position: walk.findEnd(head?.position ?? null), mark: head?.orderMark ?? 0 };
    });
  }
}

type Keys = ReturnType<typeof chosenKeys>;

async function write(request: InspectRequest, keys: Keys, report: Report, rings: Rings): Promise<number> {
  const { volume } = report;
  const isFile = request.pcap !== null && request.pcap !== '-';
  const sink = request.pcap !== null && isFile ? Sink.file(request.pcap, volume) : Sink.stdout();
  const stop = stopSignal();
  try {
    const output = chooseOutput(request, report, sink, (line) => {
      if (isFile) process.stdout.write(`${line} in ${request.pcap}\n`);
    });
    output.begin();
    const { walks, ends, openers } = rings;
    const hasPast = !request.follow || request.hasSince;
    if (output.shown && areThreadsWorth(walks.length, volume.superblock.slotBytes)) {
      await writeByThreads(partsOf(rings, keys, report), output.shown, sink, volume.superblock.slotBytes, stop.signal);
    } else if (hasPast) await writePast(rings, output, sink, volume.superblock.slotBytes, stop.signal);
    await sink.flush();
    if (request.follow) {
      const watch = new FollowWatch(volume, (line) => process.stderr.write(`stillbeat: inspect: ${escaped(line)}\n`));
      for await (const place of follow(volume, openers, walks, ends, stop.signal, watch)) {
        if (place !== null) output.place(place);
        if (place === null || sink.isFull) await sink.flush();
        // Nothing that is wanted comes any more: heads and copies are a little late.
        if (place === null && Date.now() * 1000 > request.filter.untilUs + LATE_US) break;
      }
    }
    const status = output.end();
    await sink.flush();
    return status;
  } finally {
    stop.forget();
    sink.close();
  }
}

/** What the rings hold, by this thread. */
async function writePast(
  { walks, ends }: Rings,
  output: Output,
  sink: Sink,
  slotBytes: number,
  stop: AbortSignal,
): Promise<void> {
  const progress = showProgress(walks, slotBytes);
  for (const place of merged(walks.map((walk, i) => walk.history(ends[i]?.position ?? 0)))) {
    const isStopped = progress.step(stop);
    // Nothing is waited for but a breath now and then: there may be millions of places.
    if (isStopped !== false && (await isStopped)) break;
    output.place(place);
    if (sink.isFull) await sink.flush();
  }
  progress.end();
}

const partsOf = ({ walks, ends, windowBytes }: Rings, keys: Keys, { volume, wanted }: Report): RingPart[] =>
  walks.map(({ slot }, i) => {
    const ring = { path: volume.device.path, keys, slot, end: ends[i]?.position ?? 0, windowBytes };
    return new RingPart({ ...ring, ...wanted });
  });

/** The same of large rings, each by a thread of its own. */
async function writeByThreads(
  parts: readonly RingPart[],
  show: NonNullable<Output['shown']>,
  sink: Sink,
  slotBytes: number,
  stop: AbortSignal,
): Promise<void> {
  const progress = showProgress(parts, slotBytes);
  try {
    for await (const places of mergedParts(parts)) {
      if (await progress.step(stop)) break;
      places.forEach(show);
      await sink.flush();
    }
  } finally {
    for (const part of parts) await part.close();
  }
  progress.end();
}

function chooseOutput(request: InspectRequest, report: Report, sink: Sink, told: (line: string) => void): Output {
  if (request.verify) return verifyOutput(report, sink, request.json);
  if (request.pcap !== null) return pcapOutput(report, sink, told);
  if (!request.json) return textOutput(report, sink);
  return request.follow ? jsonLinesOutput(report, sink) : jsonOutput(report, sink);
}

/**
 * SIGINT, SIGTERM and a reader that went away (`| head`) end the command in order. The word that the reader is gone may
 * come after the last write, so that it is listened to for good.
 */
function stopSignal(): { readonly signal: AbortSignal; readonly forget: () => void } {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  process.once('SIGINT', stop).once('SIGTERM', stop);
  process.stdout.on('error', stop);
  return {
    signal: controller.signal,
    forget: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  };
}
