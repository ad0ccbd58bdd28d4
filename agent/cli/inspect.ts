/**
 * `stillbeat inspect VOLUME [--follow] [--json] [--pcap FILE|-] [--since T] [--until T] [--type T]
 * [--key-file FILE | --config FILE]`: what a volume holds. Reads only; a running agent is not disturbed.
 */
import { parseArgs } from 'node:util';
import { AgentError } from '../base/errors.ts';
import { PACKET_TYPES } from '../base/packet-type.ts';
import { typeIndex, timeUs, type Filter } from '../inspect/filter.ts';
import { follow } from '../inspect/follow.ts';
import { InspectedVolume } from '../inspect/inspected-volume.ts';
import { nodeViews, readSlotHeads } from '../inspect/node-view.ts';
import { checkKey, isVolumeSealed, Openers } from '../inspect/openers.ts';
import {
  jsonLinesOutput,
  jsonOutput,
  pcapOutput,
  Sink,
  textOutput,
  type Output,
  type Report,
} from '../inspect/output.ts';
import { merged, RingWalk } from '../inspect/ring-walk.ts';
import { showProgress } from '../inspect/progress.ts';
import { readKeyFile } from '../settings/key.ts';
import { loadSettings } from '../settings/load.ts';
import { refuseUsage, reportError } from './arguments.ts';

interface Request {
  readonly path: string;
  readonly follow: boolean;
  readonly json: boolean;
  readonly pcap: string | null;
  readonly hasSince: boolean;
  readonly filter: Filter;
  readonly keyFile: string | null;
  readonly config: string | null;
}

/** Exit status 0: done; 2: bad usage; 3: no volume that can be read; 4: the key is missing or differs. */
export async function inspect(argv: string[]): Promise<number> {
  let request: Request;
  try {
    request = readArguments(argv, Date.now());
  } catch (caught) {
    return refuseUsage('inspect', caught);
  }
  try {
    await show(request);
    return 0;
  } catch (caught) {
    return reportError('inspect', caught);
  }
}

/** `--since -5m` is what people write; parseArgs wants `--since=-5m`. */
function joined(argv: readonly string[]): string[] {
  const out: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const name = argv[i] ?? '';
    const value = argv[i + 1];
    const isTime = (name === '--since' || name === '--until') && value !== undefined && /^-\d/.test(value);
    out.push(isTime ? `${name}=${value}` : name);
    if (isTime) i++;
  }
  return out;
}

function readArguments(argv: readonly string[], nowMs: number): Request {
  const { values, positionals } = parseArgs({
    args: joined(argv),
    allowPositionals: true,
    options: {
      follow: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      pcap: { type: 'string' },
      since: { type: 'string' },
      until: { type: 'string' },
      type: { type: 'string' },
      'key-file': { type: 'string' },
      config: { type: 'string' },
    },
  });
  const [path, ...more] = positionals;
  if (path === undefined) throw new Error('VOLUME is missing');
  if (more.length > 0) throw new Error(`one VOLUME, not also ${more.join(' ')}`);
  if (values.json && values.pcap !== undefined) throw new Error('--json and --pcap are two outputs: choose one');
  if (values['key-file'] !== undefined && values.config !== undefined) {
    throw new Error('--key-file and --config are two keys: choose one');
  }
  return {
    path,
    follow: values.follow,
    json: values.json,
    pcap: values.pcap ?? null,
    hasSince: values.since !== undefined,
    filter: {
      sinceUs: moment('since', values.since, nowMs, -Infinity),
      untilUs: moment('until', values.until, nowMs, Infinity),
      type: packetType(values.type),
    },
    keyFile: values['key-file'] ?? null,
    config: values.config ?? null,
  };
}

function moment(option: string, text: string | undefined, nowMs: number, none: number): number {
  if (text === undefined) return none;
  const us = timeUs(text, nowMs);
  if (us === null) throw new Error(`--${option} ${text} is no time such as 2026-03-01T03:12:00Z or -5m`);
  return us;
}

function packetType(name: string | undefined): number | null {
  if (name === undefined) return null;
  const type = typeIndex(name);
  if (type === null) throw new Error(`--type ${name} is none of ${PACKET_TYPES.join(', ')}`);
  return type;
}

function clusterKeys(request: Request): readonly Uint8Array[] | null {
  const file = request.config === null ? request.keyFile : loadSettings(request.config).keyFile;
  return file === null ? null : readKeyFile(file);
}

async function show(request: Request): Promise<void> {
  const key = clusterKeys(request);
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
    const { filter } = request;
    const uuid = Buffer.from(volume.superblock.clusterUuid)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    const nodes = nodeViews(volume, slotHeads, Date.now());
    const report: Report = { volume, uuid, nodes, sealed, hasKey: key !== null, filter };
    const walks = volume.slots.map((slot) => new RingWalk(volume, slot, openers));
    const ends = walks.map((walk, i) => walk.findEnd(slotHeads[i]?.head?.position ?? null));
    await write(request, report, openers, walks, ends);
  } finally {
    volume.close();
  }
}

async function write(
  request: Request,
  report: Report,
  openers: Openers,
  walks: readonly RingWalk[],
  ends: readonly number[],
): Promise<void> {
  const { volume } = report;
  const isFile = request.pcap !== null && request.pcap !== '-';
  const sink = request.pcap !== null && isFile ? Sink.file(request.pcap, volume) : Sink.stdout();
  const stop = stopSignal();
  try {
    const output = chooseOutput(request, report, sink, (line) => {
      if (isFile) process.stdout.write(`${line} in ${request.pcap}\n`);
    });
    output.begin();
    const progress = showProgress(walks, volume.superblock.slotBytes);
    const histories = request.follow && !request.hasSince ? [] : walks.map((walk, i) => walk.history(ends[i] ?? 0));
    for (const place of merged(histories)) {
      if (await progress.step(stop.signal)) break;
      output.place(place);
      if (sink.isFull) await sink.flush();
    }
    progress.end();
    await sink.flush();
    if (request.follow) {
      for await (const place of follow(volume, openers, walks, ends, stop.signal)) {
        output.place(place);
        await sink.flush();
      }
    }
    output.end();
    await sink.flush();
  } finally {
    stop.forget();
    sink.close();
  }
}

function chooseOutput(request: Request, report: Report, sink: Sink, told: (line: string) => void): Output {
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
