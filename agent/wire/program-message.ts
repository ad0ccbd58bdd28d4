/**
 * A message of a program, or the report on one, as it travels in a lane in the place of an IP frame: in the same order,
 * by the same ways, as old as a packet may become.
 *
 * Always true: the first byte is one that no virtio-net header has (its flags are the low three bits), so a message never
 * reaches an interface and a packet is never taken for a message.
 */
import { dataView, getU64, setU64 } from '../base/bytes.ts';
import { defineFields } from '../base/fields.ts';
import { BULK, CONTROL, type TypeIndex } from '../base/packet-type.ts';

export const PROGRAM_MARK = 0xb5;
/** Bytes of one message: it fits beside its header where a super-packet does. */
export const PROGRAM_BYTES_MAX = 60_000;
export const CHANNEL_BYTES_MAX = 64;

export const PROGRAM_KIND = { message: 1, report: 2 } as const;

/** What a report says; 0 in a message. */
export const PROGRAM_OUTCOME = {
  /** A program has read it. */
  taken: 1,
  /** No program listens on its channel; it is kept for one that may come. */
  waiting: 2,
  /** No program listens, and there is no room to keep it: it is gone. */
  refused: 3,
} as const;

export const PROGRAM = defineFields({
  mark: 1,
  kind: 1,
  outcome: 1,
  /** Bytes of the sending node's name, which follows the header. */
  fromBytes: 1,
  /** Bytes of the channel's name, which follows that. */
  channelBytes: 1,
  /** The packet type of its lane; the report comes back in the same. */
  type: 1,
  reserved: 2,
  /** The writer's number of the message; a report bears the one it is about. */
  id: 8,
} as const);
export const PROGRAM_HEADER_BYTES: number = PROGRAM.bytes;

export interface ProgramMessage {
  readonly kind: number;
  readonly outcome: number;
  readonly from: string;
  readonly channel: string;
  readonly type: TypeIndex;
  readonly id: number;
  readonly bytes: Uint8Array;
}

/** True for a frame that is a program's, not the interface's. */
export const isProgramFrame = (frame: Uint8Array): boolean => frame[0] === PROGRAM_MARK;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeProgramMessage(message: ProgramMessage): Uint8Array {
  const { at } = PROGRAM;
  const from = encoder.encode(message.from);
  const channel = encoder.encode(message.channel);
  const start = PROGRAM_HEADER_BYTES + from.length + channel.length;
  const frame = new Uint8Array(start + message.bytes.length);
  frame[at.mark] = PROGRAM_MARK;
  frame[at.kind] = message.kind;
  frame[at.outcome] = message.outcome;
  frame[at.fromBytes] = from.length;
  frame[at.channelBytes] = channel.length;
  frame[at.type] = message.type;
  setU64(dataView(frame), at.id, message.id);
  frame.set(from, PROGRAM_HEADER_BYTES);
  frame.set(channel, PROGRAM_HEADER_BYTES + from.length);
  frame.set(message.bytes, start);
  return frame;
}

/** The message in a frame, its bytes copied; null when it is none: then its sender is a newer one, or broken. */
export function decodeProgramMessage(frame: Uint8Array): ProgramMessage | null {
  const { at } = PROGRAM;
  if (frame.length < PROGRAM_HEADER_BYTES || !isProgramFrame(frame)) return null;
  const channelAt = PROGRAM_HEADER_BYTES + (frame[at.fromBytes] ?? 0);
  const start = channelAt + (frame[at.channelBytes] ?? 0);
  const id = getU64(dataView(frame), at.id);
  const type = frame[at.type] ?? 0;
  if (start > frame.length || id === Infinity || type === CONTROL || type > BULK) return null;
  return {
    kind: frame[at.kind] ?? 0,
    outcome: frame[at.outcome] ?? 0,
    // Copies: a decoder takes no bytes of shared memory.
    from: decoder.decode(frame.slice(PROGRAM_HEADER_BYTES, channelAt)),
    channel: decoder.decode(frame.slice(channelAt, start)),
    type: type as TypeIndex,
    id,
    bytes: frame.slice(start),
  };
}
