/**
 * What source and target say when they meet: bodies of `hello`, `welcome`, `begin` and `stop`, as JSON, for they come once
 * in a session and an operator reads them in a capture. Numbers beyond 2^53 are hexadecimal text.
 */
import { toHex } from '../../base/bytes.ts';
import type { Ancestor, Diverged, Point, SourceView, TargetView, VolumeShape } from '../core/meeting.ts';
import type { JournalAncestor } from '../store/superblock.ts';
import { CHECKSUMS, type Checksum } from '../scan/digest.ts';
import { ANCESTRY_MAX, LINK_VERSION, VOLUMES_MAX } from '../wire/layout.ts';

const BODY_BYTES_MAX = 65_536;
/** Runs of regions; who has more is compared as a whole. */
export const DIVERGED_MAX = 512;

export interface PointText {
  readonly mark: number;
  readonly chain: string;
}

export type SourcePolicy = 'degrade' | 'strict' | 'logged' | 'released';

/** Source to target. */
export interface Hello {
  readonly version: number;
  readonly group: string;
  readonly volumes: readonly VolumeShape[];
  readonly generation: string;
  readonly ancestry: readonly Ancestor[];
  readonly tail: Point;
  readonly durable: Point;
  /** Whether the source may go on without this target: `logged`, when it has said so on the log device. */
  readonly policy: SourcePolicy;
  /** The session that this connection joins, 0 for a new one. */
  readonly session: number;
}

/** Target to source. */
export interface Welcome extends TargetView {
  readonly version: number;
  /** The highest session that was begun here. */
  readonly session: number;
  /** Room for arrivals, in bytes. */
  readonly roomBytes: number;
  /** Of its journal: no cycle, and no entry, may be larger than these can hold. */
  readonly ringBytes: number;
  readonly windowBytes: number;
  /** It keeps a history, and wants to hear until when what it was sent is all. */
  readonly isFollowed: boolean;
}

/** Source to target: RESYNC-BEGIN. */
export interface Begin {
  readonly how: 'replay' | 'bitmap' | 'scan';
  /** What lies beyond it is dropped; what is sent comes behind it. */
  readonly from: Point;
  readonly isFirst: boolean;
  /** An operator lets a copy be written in place: its cut is given up. */
  readonly isInPlace: boolean;
  /** By what volumes are compared. */
  readonly checksum: Checksum;
}

/** Either: the end of a session, in words. */
export interface Stop {
  readonly reason: string;
  /** Whether to come back by oneself. */
  readonly again: boolean;
}

export const point = ({ mark, chain }: Point): PointText => ({ mark, chain: chain.toString(16) });
export const ancestryText = (ancestry: readonly Ancestor[]): unknown =>
  ancestry.map(({ generation, until }) => ({ generation, until: point(until) }));
export const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

export function encodeHello(
  view: Pick<SourceView, 'group' | 'volumes' | 'generation' | 'ancestry' | 'tail' | 'durable'>,
  policy: Hello['policy'],
  session: number,
): Uint8Array {
  return encode({
    version: LINK_VERSION,
    group: view.group,
    volumes: view.volumes,
    generation: view.generation,
    ancestry: ancestryText(view.ancestry),
    tail: point(view.tail),
    durable: point(view.durable),
    policy,
    session,
  });
}

export const encodeWelcome = (welcome: Omit<Welcome, 'version'>): Uint8Array =>
  encode({
    ...welcome,
    version: LINK_VERSION,
    ancestry: ancestryText(welcome.ancestry),
    diverged: welcome.diverged && { ...welcome.diverged, until: point(welcome.diverged.until) },
    cut: point(welcome.cut),
    prefix: point(welcome.prefix),
  });

export const encodeBegin = (begin: Begin): Uint8Array => encode({ ...begin, from: point(begin.from) });
export const encodeStop = (stop: Stop): Uint8Array => encode(stop);

/** By the clock of who stamps, ms since 1970. */
export const encodeKnown = (clockMs: number, aheadMs?: number): Uint8Array =>
  encode({ clockMs, ...(aheadMs === undefined ? {} : { aheadMs: Math.round(aheadMs) }) });

/** Throws a GreetingError. */
export const decodeKnown = (body: Uint8Array): number => count(parse(body), 'clockMs');

/** By how much that clock is ahead of one that is never set; null: an earlier program does not say it. Throws a GreetingError. */
export function decodeAhead(body: Uint8Array): number | null {
  const aheadMs = parse(body)['aheadMs'];
  if (aheadMs === undefined) return null;
  if (!Number.isSafeInteger(aheadMs)) throw new GreetingError('no aheadMs');
  return aheadMs as number;
}

/** A body that cannot be read. The message says what is wrong with it. */
export class GreetingError extends Error {}

export type Values = Readonly<Record<string, unknown>>;

export function parse(body: Uint8Array): Values {
  if (body.length > BODY_BYTES_MAX) throw new GreetingError(`a greeting of ${body.length} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new GreetingError('a greeting that is no JSON');
  }
  return values(value, 'greeting');
}

export function values(value: unknown, key: string): Values {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new GreetingError(`no ${key}`);
  return value as Values;
}

export function text(from: Values, key: string): string {
  const value = from[key];
  if (typeof value !== 'string' || value.length > 4096) throw new GreetingError(`no ${key}`);
  return value;
}

export function count(from: Values, key: string): number {
  const value = from[key];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new GreetingError(`no ${key}`);
  return value;
}

export function flag(from: Values, key: string): boolean {
  const value = from[key];
  if (typeof value !== 'boolean') throw new GreetingError(`no ${key}`);
  return value;
}

export function word<Word extends string>(from: Values, key: string, words: readonly Word[]): Word {
  const value = words.find((one) => one === from[key]);
  if (value === undefined) throw new GreetingError(`no ${key}`);
  return value;
}

function list(from: Values, key: string, most: number): Values[] {
  const value = from[key];
  if (!Array.isArray(value) || value.length > most) throw new GreetingError(`no ${key}`);
  return value.map((one) => values(one, key));
}

export function pointOf(from: Values, key: string): Point {
  const value = values(from[key], key);
  const chain = text(value, 'chain');
  if (!/^[0-9a-f]{1,16}$/.test(chain)) throw new GreetingError(`no chain in ${key}`);
  return { mark: count(value, 'mark'), chain: BigInt(`0x${chain}`) };
}

export function generationOf(from: Values, key = 'generation'): string {
  const value = text(from, key);
  if (!/^([0-9a-f]{32})?$/.test(value)) throw new GreetingError(`no ${key}`);
  return value;
}

export const volumesOf = (from: Values): VolumeShape[] =>
  list(from, 'volumes', VOLUMES_MAX).map((one) => ({ name: text(one, 'name'), bytes: count(one, 'bytes') }));

function divergedOf(value: unknown): Diverged | null {
  if (value === null) return null;
  const from = values(value, 'diverged');
  const regions = list(from, 'regions', DIVERGED_MAX).map((run) => ({
    volume: count(run, 'volume'),
    first: count(run, 'first'),
    count: count(run, 'count'),
  }));
  return { until: pointOf(from, 'until'), regions };
}

export const ancestryOf = (from: Values): Ancestor[] =>
  list(from, 'ancestry', ANCESTRY_MAX).map((one) => ({ generation: generationOf(one), until: pointOf(one, 'until') }));

/** Throws a GreetingError. Another major version is the caller's to refuse: its keys may be others. */
export function decodeHello(body: Uint8Array): Hello {
  const from = parse(body);
  return {
    version: checkedVersion(from),
    group: text(from, 'group'),
    volumes: volumesOf(from),
    generation: generationOf(from),
    ancestry: ancestryOf(from),
    tail: pointOf(from, 'tail'),
    durable: pointOf(from, 'durable'),
    policy: word(from, 'policy', ['degrade', 'strict', 'logged', 'released']),
    session: count(from, 'session'),
  };
}

export function decodeWelcome(body: Uint8Array): Welcome {
  const from = parse(body);
  return {
    version: checkedVersion(from),
    group: text(from, 'group'),
    volumes: volumesOf(from),
    generation: generationOf(from),
    ancestry: ancestryOf(from),
    diverged: divergedOf(from['diverged']),
    hasCut: flag(from, 'hasCut'),
    cut: pointOf(from, 'cut'),
    prefix: pointOf(from, 'prefix'),
    isTakenOver: flag(from, 'isTakenOver'),
    session: count(from, 'session'),
    roomBytes: count(from, 'roomBytes'),
    ringBytes: count(from, 'ringBytes'),
    windowBytes: count(from, 'windowBytes'),
    isFollowed: flag(from, 'isFollowed'),
  };
}

export function decodeBegin(body: Uint8Array): Begin {
  const from = parse(body);
  return {
    how: word(from, 'how', ['replay', 'bitmap', 'scan']),
    from: pointOf(from, 'from'),
    isFirst: flag(from, 'isFirst'),
    isInPlace: flag(from, 'isInPlace'),
    checksum: word(from, 'checksum', CHECKSUMS),
  };
}

export function decodeStop(body: Uint8Array): Stop {
  const from = parse(body);
  return { reason: text(from, 'reason'), again: flag(from, 'again') };
}

/** Checked first of all: nothing else of another major version is understood. */
export function checkedVersion(from: Values): number {
  const version = count(from, 'version');
  if (version >>> 16 === LINK_VERSION >>> 16) return version;
  const [theirs, ours] = [version >>> 16, LINK_VERSION >>> 16];
  throw new GreetingError(`the peer speaks version ${theirs} of the mirror, this one ${ours}: upgrade the older one`);
}

/** A generation as it is shown and sent. */
export const generationText = (generation: Uint8Array): string => toHex(generation);

export const generationBytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

export const ancestryShown = (ancestry: readonly JournalAncestor[]): Ancestor[] =>
  ancestry.map(({ generation, until }) => ({ generation: generationText(generation), until }));

export const ancestryKept = (ancestry: readonly Ancestor[]): JournalAncestor[] =>
  ancestry.map(({ generation, until }) => ({ generation: generationBytes(generation), until }));
