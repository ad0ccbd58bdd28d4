/**
 * The words of the local socket, one JSON object a line, as `agent/FORMAT.md` ("Local socket of programs") describes them.
 * Always true: a line that is not one of them is told from one that is, and said why in words for its author.
 */
import { PACKET_TYPES, type TypeIndex } from '../base/packet-type.ts';
import { CHANNEL_BYTES_MAX, PROGRAM_BYTES_MAX } from '../wire/program-message.ts';
import type { ReceivedMessage, WriteRequest, WriteResult } from './program.ts';

export const DEADLINE_MS_MAX = 600_000;
/** The longest message as a line, and what stands around it. */
export const LINE_BYTES_MAX = 98_304;

export type Line =
  | { readonly kind: 'write'; readonly request: WriteRequest }
  | { readonly kind: 'subscribe'; readonly channel: string; readonly count: number }
  | { readonly kind: 'taken'; readonly number: number }
  /** Is anybody there? */
  | { readonly kind: 'hello'; readonly number: number }
  /** A write that cannot be: it is refused, the connection goes on. */
  | { readonly kind: 'refused'; readonly number: number; readonly why: string }
  /** Not of this protocol. */
  | { readonly kind: 'garbage'; readonly why: string };

type Fields = Readonly<Record<string, unknown>>;

export function parseLine(text: string): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: 'garbage', why: 'a line is no JSON' };
  }
  if (typeof value !== 'object' || value === null) return { kind: 'garbage', why: 'a line is no JSON object' };
  const fields = value as Fields;
  if ('write' in fields) return parseWrite(fields);
  if ('subscribe' in fields) return parseSubscribe(fields);
  const { taken, hello } = fields;
  if (isNumber(taken)) return { kind: 'taken', number: taken };
  if (isNumber(hello)) return { kind: 'hello', number: hello };
  return { kind: 'garbage', why: 'a line has none of write, subscribe, taken and hello' };
}

const isNumber = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0;

const isChannel = (value: unknown): value is string =>
  typeof value === 'string' && Buffer.byteLength(value) <= CHANNEL_BYTES_MAX;

const CHANNEL_FORM = `channel is a text of at most ${CHANNEL_BYTES_MAX} bytes`;

function parseSubscribe({ subscribe: channel, count }: Fields): Line {
  if (!isChannel(channel)) return { kind: 'garbage', why: CHANNEL_FORM };
  if (count === undefined) return { kind: 'subscribe', channel, count: Infinity };
  if (!isNumber(count) || count === 0) return { kind: 'garbage', why: 'count is a number of messages' };
  return { kind: 'subscribe', channel, count };
}

function parseWrite(fields: Fields): Line {
  const { write: number, peer, type: name, channel = '', bytes: base64, deadlineMs } = fields;
  if (!isNumber(number)) return { kind: 'garbage', why: 'write is a number of the message' };
  const refused = (why: string): Line => ({ kind: 'refused', number, why });
  if (typeof peer !== 'string') return refused('peer is the name of a node');
  const type = typeOf(name);
  if (type === null) return refused('type is heartbeat, data or bulk');
  if (!isChannel(channel)) return refused(CHANNEL_FORM);
  if (typeof base64 !== 'string' || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return refused('bytes is a text in base64');
  const bytes = new Uint8Array(Buffer.from(base64, 'base64'));
  if (bytes.length > PROGRAM_BYTES_MAX) {
    return refused(`a message of ${bytes.length} bytes: at most ${PROGRAM_BYTES_MAX} go in one, send it in parts`);
  }
  if (
    deadlineMs !== undefined &&
    !(typeof deadlineMs === 'number' && deadlineMs >= 1 && deadlineMs <= DEADLINE_MS_MAX)
  ) {
    return refused(`deadlineMs is a number from 1 to ${DEADLINE_MS_MAX}`);
  }
  const deadline = deadlineMs === undefined ? {} : { deadlineMs };
  return { kind: 'write', request: { number, peer, type, channel, bytes, ...deadline } };
}

function typeOf(name: unknown): TypeIndex | null {
  const index = PACKET_TYPES.findIndex((type) => type === name && type !== 'control');
  return index < 0 ? null : (index as TypeIndex);
}

const round = (value: number): number => Math.round(value * 1000) / 1000;

export const reportLine = (number: number, result: WriteResult): Fields => ({
  report: number,
  ...result,
  ...(result.delivered ? { afterMs: round(result.afterMs) } : {}),
});

export const refusedLine = (number: number, why: string): Fields => ({ report: number, refused: why });

export const subscribedLine = (channel: string): Fields => ({ subscribed: channel });

export const helloLine = (number: number): Fields => ({ hello: number });

export const messageLine = ({ number, peer, type, channel, ageMs, bytes }: ReceivedMessage): Fields => ({
  message: number,
  peer,
  type,
  channel,
  ageMs: round(ageMs),
  bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
});

export const errorLine = (why: string): Fields => ({ error: why });
