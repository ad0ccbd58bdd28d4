/**
 * Takes what an opened batch holds: confirmations of what we wrote, and the records that are for this node.
 *
 * Always true:
 * - [AGE1] a frame older than maxAgeMs is dropped, and counted if this incarnation has missed it.
 * - A frame in its turn goes straight into the interface under the lane's gate; any other goes to the switch thread.
 */
import { BULK } from '../base/packet-type.ts';
import { seqNext } from '../base/serial.ts';
import type { GateVerdict } from '../core/gate.ts';
import { QUESTION_BYTES_MAX } from '../flush/flush-loop.ts';
import { inboundWord } from '../queue/inbound.ts';
import type { Ring } from '../queue/ring.ts';
import { AGENT, PEER, PEER_TIME, type SharedState } from '../queue/shared-state.ts';
import { acknowledgements, incarnationTag, recordSpan, type BatchHeader } from '../volume/batch.ts';
import { walkRecords } from '../wire/record.ts';
import { seenAlive, takeConfirmation } from './head-table.ts';
import type { ReaderPorts, ReaderSettings } from './reader-loop.ts';
import type { Source } from './source.ts';

/** Confirm at the latest after this many bytes read: the writer's ring and lanes wait for it. */
const CONFIRM_EVERY_BYTES = 2 * 1024 * 1024;
/** On a small ring sooner: a lane has a quarter of it under way at most. */
const CONFIRM_SHARE = 16;

export class Intake {
  settings: ReaderSettings;
  readonly #state: SharedState;
  readonly #inbound: Ring;
  readonly #ports: ReaderPorts;
  readonly #tag: number;

  constructor(settings: ReaderSettings, state: SharedState, inbound: Ring, ports: ReaderPorts) {
    this.settings = settings;
    this.#state = state;
    this.#inbound = inbound;
    this.#ports = ports;
    this.#tag = incarnationTag(settings.ownIncarnation);
  }

  /** False: no room for a frame that has to wait for its turn; the same batch is to come again. */
  take(source: Source, bytes: Uint8Array, header: BatchHeader, nowMs: number): boolean {
    const { words, times } = source.words;
    const ageMs = Math.max(0, nowMs - (header.monotonicUs + (times[PEER_TIME.offsetUs] ?? 0)) / 1000);
    this.#noteLag(source, ageMs, nowMs);
    seenAlive(times, nowMs - ageMs);
    for (const ack of acknowledgements(bytes, header)) {
      if (ack.peerIndex !== this.settings.ownTenant || ack.incarnationTag !== this.#tag) continue;
      takeConfirmation(this.#state, words, times, ack);
      if (Atomics.load(this.#state.words, AGENT.roomWanted) === 1) this.#ports.bell();
    }
    const taken = this.#takeRecords(source, bytes, header, ageMs, nowMs);
    source.isLarge = header.batchBytes > QUESTION_BYTES_MAX;
    if (taken) this.#confirmLater(source, header.batchBytes);
    return taken;
  }

  /** What is too old to be delivered waited for a node that stood still, not for the storage. */
  #noteLag({ words: { times }, readSinceMs }: Source, ageMs: number, nowMs: number): void {
    if (nowMs - ageMs < readSinceMs || ageMs > this.settings.maxAgeMs) return;
    times[PEER_TIME.lagMs] = ageMs;
    times[PEER_TIME.lagSeenMs] = nowMs;
  }

  #takeRecords(source: Source, bytes: Uint8Array, header: BatchHeader, ageMs: number, nowMs: number): boolean {
    const [start, end] = recordSpan(header);
    let hasRoom = true;
    let bell = false;
    walkRecords(bytes, start, end, (record, offset) => {
      if (!hasRoom || record.peer !== this.settings.ownTenant) return;
      const { words } = source.words;
      if (ageMs + record.ageMs > this.settings.maxAgeMs) {
        this.#countOld(source, record.type, record.sequence, nowMs - ageMs - record.ageMs);
        // What entered before it is older still: nobody need wait for it.
        source.gates[record.type]?.skipTo(seqNext(record.sequence), source.isCurrent);
        bell = true;
        return;
      }
      const frame = bytes.subarray(offset, offset + record.frameBytes);
      const bornMs = nowMs - ageMs - record.ageMs;
      const verdict = this.#offer(source, record.type, record.sequence, frame, bornMs);
      if (verdict === 'duplicate') Atomics.add(words, PEER.duplicates, 1);
      else source.newsMs = nowMs;
      if (verdict === 'ahead') {
        hasRoom = this.#toSwitch(source, record.type, record.sequence, frame, bornMs);
        bell = true;
      } else if (verdict === 'delivered' && (source.gates[record.type]?.held ?? 0) > 0) {
        bell = true;
      }
    });
    if (bell) this.#ports.bell();
    return hasRoom;
  }

  /** What the network has brought already, or an earlier life of ours was sent, is missed by nobody. */
  #countOld(source: Source, type: number, sequence: number, bornMs: number): void {
    const { words } = source.words;
    if (bornMs < this.settings.beganMs) return;
    const isPast = source.gates[type]?.isPast(sequence) ?? false;
    Atomics.add(words, isPast ? PEER.duplicates : PEER.tooOld, 1);
  }

  #offer(source: Source, type: number, sequence: number, frame: Uint8Array, bornMs: number): GateVerdict {
    const gate = type <= BULK ? source.gates[type] : undefined;
    if (!gate || gate.isPast(sequence)) return 'duplicate';
    const deliver = (): void => {
      const { words, times } = source.words;
      Atomics.add(words, this.#ports.deliver(frame, bornMs) ? PEER.delivered : PEER.refused, 1);
      times[PEER_TIME.bytes] = (times[PEER_TIME.bytes] ?? 0) + frame.length;
    };
    return gate.offer(sequence, deliver, source.isCurrent);
  }

  #toSwitch(source: Source, type: number, sequence: number, frame: Uint8Array, bornMs: number): boolean {
    const offset = this.#inbound.reserve(frame.length);
    if (offset < 0) return false;
    this.#inbound.bytes.set(frame, offset);
    this.#inbound.commit(frame.length, sequence, inboundWord(source.peer.seat, type, source.epoch), bornMs);
    return true;
  }

  /** Batches for others move our position too, and the writer's ring waits for that. */
  passedOver(source: Source): void {
    const { passedOverBytes } = source.reader;
    if (passedOverBytes === 0) return;
    source.reader.passedOverBytes = 0;
    this.#confirmLater(source, passedOverBytes);
  }

  /** Sees to it that what was read is confirmed soon, also when nothing else is to be written. */
  #confirmLater(source: Source, bytes: number): void {
    source.unconfirmedBytes += bytes;
    const every = Math.min(CONFIRM_EVERY_BYTES, this.settings.slotBytes / CONFIRM_SHARE);
    if (source.unconfirmedBytes < every) return;
    source.unconfirmedBytes = 0;
    this.confirmNow();
  }

  /** Has a batch written, for its confirmations alone if need be. */
  confirmNow(): void {
    Atomics.store(this.#state.words, AGENT.acknowledgeWanted, 1);
    Atomics.store(this.#state.words, AGENT.flushNow, 1);
    this.#state.wake(AGENT.flushWake);
  }
}
