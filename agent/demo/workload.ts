/**
 * Traffic between the lab's nodes: what is sent, and the account of what came. Each end of a stream is a process of its
 * own inside a node, so that one stream does not disturb another's timing; all of them run until `stop`.
 */
import { createInterface } from 'node:readline';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import type { Lab } from './lab.ts';
import { type PingSummary, parsePingReply, parsePingSummary } from './ping-output.ts';
import type { StreamCounts, StreamReport } from './stream-packet.ts';
import { RESULT_TIMEOUT_MS, TrafficProcess, within } from './traffic-process.ts';

/** Ports whose packets the agent's built-in rules take for heartbeats (corosync) and for ordinary data. */
const HEARTBEAT_PORT = 5405;
const DATA_PORT = 7000;
const TCP_PORT = 7001;

export interface Between {
  readonly from: string;
  readonly to: string;
  readonly family?: 4 | 6;
}

export interface StreamOptions extends Between {
  readonly perSecond: number;
  /** UDP payload, at least 16. */
  readonly bytes?: number;
  readonly port?: number;
  /** The receiver sends every packet back: `echo` in the result tells of the round trips. */
  readonly echo?: boolean;
}

export interface StreamResult extends StreamReport {
  readonly sent: number;
  /** Sent, but refused by the sender's own kernel. */
  readonly refused: number;
  readonly lost: number;
  readonly echo: StreamReport | null;
}

export interface UdpStream {
  /** The account so far, up to 200 ms old. */
  readonly progress: StreamCounts & { readonly sent: number };
  /** Stops sending, waits (bounded) for what is under way, and answers the whole account. */
  stop(): Promise<StreamResult>;
}

export interface TcpResult {
  /** Bytes that arrived. */
  readonly bytes: number;
  readonly corrupted: number;
  /** True when the one connection carried every byte to its regular end. */
  readonly survived: boolean;
  readonly longestSilenceMs: number;
  /** What ended the connection early; empty when nothing did. */
  readonly error: string;
}

export interface TcpTransfer {
  readonly progress: { readonly bytes: number; readonly corrupted: number };
  stop(): Promise<TcpResult>;
}

export interface PingSample {
  /** When the reply came, ms of the monotonic clock. */
  readonly atMs: number;
  readonly rttMs: number;
}

export interface PingResult extends PingSummary {
  readonly samples: readonly PingSample[];
}

export interface PingRun {
  readonly samples: readonly PingSample[];
  stop(): Promise<PingResult>;
}

/** A UDP stream that the agent takes for heartbeats. */
export async function heartbeatStream(lab: Lab, options: StreamOptions): Promise<UdpStream> {
  return udpStream(lab, { port: HEARTBEAT_PORT, ...options });
}

/** A UDP stream of type data. */
export async function dataStream(lab: Lab, options: StreamOptions): Promise<UdpStream> {
  return udpStream(lab, { port: DATA_PORT, ...options });
}

async function udpStream(lab: Lab, options: StreamOptions & { port: number }): Promise<UdpStream> {
  const { from, to, family, port, perSecond, bytes = 64, echo = false } = options;
  const target = lab.vnicAddress(to, family);
  const receiver = await TrafficProcess.start(lab, to, { role: 'udp-receive', address: target, port, echo });
  const sender = await TrafficProcess.start(lab, from, { role: 'udp-send', target, port, perSecond, bytes, echo });
  return {
    get progress() {
      return {
        ...nothingYet,
        ...(receiver.progress as Partial<StreamCounts>),
        sent: Number(sender.progress['sent'] ?? 0),
      };
    },
    stop: async () => {
      const { sent, refused, echo } = (await sender.stop()) as Pick<StreamResult, 'sent' | 'refused'> & {
        echo?: StreamReport;
      };
      const report = (await receiver.expect(sent)) as unknown as StreamReport;
      return { ...report, sent, refused, lost: sent - report.received, echo: echo ?? null };
    },
  };
}

const nothingYet: StreamCounts = {
  received: 0,
  missing: 0,
  duplicated: 0,
  disordered: 0,
  corrupted: 0,
  longestSilenceMs: 0,
  lastLatencyMs: null,
};

/** One TCP connection full of checked content, at full speed or at `bytesPerSecond`. */
export async function tcpTransfer(
  lab: Lab,
  options: Between & { readonly bytesPerSecond?: number; readonly seed?: number; readonly port?: number },
): Promise<TcpTransfer> {
  const { from, to, family, seed = 1, port = TCP_PORT, bytesPerSecond = null } = options;
  const target = lab.vnicAddress(to, family);
  const receiver = await TrafficProcess.start(lab, to, { role: 'tcp-receive', address: target, port, seed });
  const sender = await TrafficProcess.start(lab, from, { role: 'tcp-send', target, port, seed, bytesPerSecond });
  const figure = (name: string): number => Number(receiver.progress[name] ?? 0);
  return {
    get progress() {
      return { bytes: figure('bytes'), corrupted: figure('corrupted') };
    },
    stop: async () => {
      const sent = (await sender.stop()) as { bytes: number; error: string };
      // The receiver ends by itself when the connection does.
      const got = (await (sent.error === '' ? receiver.result() : receiver.stop())) as Omit<TcpResult, 'survived'> & {
        ended: boolean;
      };
      const error = sent.error || got.error;
      const { bytes, corrupted, longestSilenceMs } = got;
      return { bytes, corrupted, longestSilenceMs, error, survived: got.ended && error === '' && bytes === sent.bytes };
    },
  };
}

/** iputils' ping; every reply with its time. */
export async function startPing(lab: Lab, options: Between & { readonly intervalSeconds: number }): Promise<PingRun> {
  const target = lab.vnicAddress(options.to, options.family);
  const argv = ['ping', '-n', '-D', '-i', String(options.intervalSeconds), target];
  const child = lab.spawn(options.from, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const samples: PingSample[] = [];
  // ping's times are of the wall clock; nobody steps it while a lab runs.
  const wallAheadMs = systemClock.wallMs() - systemClock.monotonicMs();
  let summary: PingSummary | null = null;
  let onReply = (): void => {};
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface(stream).on('line', (line) => {
      const reply = parsePingReply(line);
      summary ??= parsePingSummary(line);
      if (reply === null || reply.duplicate) return;
      samples.push({ atMs: reply.wallMs - wallAheadMs, rttMs: reply.rttMs });
      onReply();
    });
  }
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  return {
    samples,
    stop: async () => {
      // Right after a reply nothing is under way, so the count of what was sent is a fair one.
      await within(1000, new Promise<void>((resolve) => (onReply = resolve)));
      child.kill('SIGINT');
      await within(RESULT_TIMEOUT_MS, closed);
      if (summary === null)
        throw new AgentError('failed', `ping from ${options.from} to ${target} ended without a count`);
      return { ...summary, samples };
    },
  };
}
