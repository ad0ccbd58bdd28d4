/**
 * Reads the head table: one read shows every node's newest position, beacon and words to us. A block that has not
 * changed costs the comparison of its proof.
 */
import { dataView, sameBytes } from '../base/bytes.ts';
import { type Path, PATHS } from '../base/paths.ts';
import { seqAfter } from '../base/serial.ts';
import { AGENT, KEY_SEEN, PEER, PEER_TIME, type SharedState } from '../queue/shared-state.ts';
import { incarnationTag } from '../volume/batch.ts';
import { decodeHead, headKeyId, headVersion, type Head } from '../volume/head.ts';
import { BLOCK_BYTES, HEAD, HEAD_STATE, HEAD_TABLE_OFFSET, slotOfTenant } from '../volume/layout.ts';
import { HELLO_FLAG } from '../wire/message.ts';
import type { SealFactory } from '../wire/seal.ts';
import type { ReaderPorts, ReaderSettings } from './reader-loop.ts';
import type { Source } from './source.ts';

/** Ways on which a peer's packets come by storage. */
const BY_STORAGE: readonly Path[] = ['storage', 'returning'];

export class HeadTable {
  settings: ReaderSettings;
  readonly #state: SharedState;
  readonly #ports: ReaderPorts;
  readonly #sealFor: SealFactory;
  readonly #memory: Uint8Array;
  readonly #tag: number;

  constructor(
    settings: ReaderSettings,
    state: SharedState,
    ports: ReaderPorts,
    sealFor: SealFactory,
    memory: Uint8Array,
  ) {
    this.settings = settings;
    this.#state = state;
    this.#ports = ports;
    this.#sealFor = sealFor;
    this.#memory = memory;
    this.#tag = incarnationTag(settings.ownIncarnation);
  }

  /** `readInto` answers how many bytes it has read; `now` is asked behind the read. */
  read(sources: readonly Source[], readInto: (offset: number, into: Uint8Array) => number, now: () => number): void {
    if (readInto(HEAD_TABLE_OFFSET, this.#memory) !== this.#memory.length) return;
    for (const source of sources) this.#readHead(source, now());
  }

  #readHead(source: Source, nowMs: number): void {
    const { tenant } = source.peer;
    const slot = slotOfTenant(tenant);
    const block = this.#memory.subarray(slot * BLOCK_BYTES, (slot + 1) * BLOCK_BYTES);
    // Most polls find the block that was read before: its proof tells, without opening it again.
    if (source.headMark > 0 && sameBytes(block, HEAD.at.tag, source.headTag, 0, HEAD.size.tag)) return;
    if (isEmpty(block)) return;
    const decoded = decodeHead(block, tenant, this.settings.clusterUuid, this.#sealFor);
    this.#publishKey(source, block, decoded.ok);
    if (!decoded.ok) {
      if (decoded.fault === 'version') this.#sawForeignHead(source, block);
      return;
    }
    const { head } = decoded;
    source.headTag.set(block.subarray(HEAD.at.tag));
    const isSame = sameBytes(head.incarnation, 0, source.headIncarnation, 0, 16);
    if (isSame && head.headMark <= source.headMark) return;
    // Without it a peer that went back to our version would not be told of when it leaves it again.
    if (source.words.words[PEER.headVersion] !== 0) Atomics.store(source.words.words, PEER.headVersion, 0);
    source.headIncarnation = head.incarnation;
    source.headMark = head.headMark;
    if (this.#isAccepted(source, head.incarnation)) this.#believe(source, head, nowMs);
    this.#ports.head(source.peer, head, block);
    this.#ports.bell();
  }

  #isAccepted(source: Source, incarnation: Uint8Array): boolean {
    const { words, incarnation: accepted } = source.words;
    return Atomics.load(words, PEER.accepted) === 1 && sameBytes(incarnation, 0, accepted, 0, 16);
  }

  #believe(source: Source, head: Head, nowMs: number): void {
    const { words, times } = source.words;
    source.reader.sawHead(head.position);
    if (source.reader.isBehind) source.dueNow();
    times[PEER_TIME.headPosition] = head.position;
    source.positionOf = head.incarnation;
    const ageMs = nowMs - (head.monotonicUs + (times[PEER_TIME.offsetUs] ?? 0)) / 1000;
    if (head.state === HEAD_STATE.running) seenAlive(times, nowMs - Math.max(0, ageMs));
    const entry = head.entries.find((candidate) => candidate.peerIndex === this.settings.ownTenant);
    // The peer's own word for its way to us, which may differ from ours to it: one end has lost its carrier.
    source.sendsByStorage = BY_STORAGE.includes(PATHS[entry?.path ?? 0] ?? 'network');
    if (!entry || incarnationTag(entry.echoIncarnation) !== this.#tag) return;
    // It echoes us as soon as it sees us; its confirmations are for our predecessor until it accepts us.
    if ((entry.flags & HELLO_FLAG.accepts) === 0) return;
    takeConfirmation(this.#state, words, times, entry);
  }

  /** Which key the peer seals with, and whether it is ours: a key that we lack looks like damage otherwise. */
  #publishKey(source: Source, block: Uint8Array, isOpen: boolean): void {
    const id = headKeyId(block);
    if (id === null || !(isOpen || this.#ports.knowsKey?.(id) === false)) return;
    const { words } = source.words;
    const view = dataView(id);
    words[PEER.keyId] = view.getInt32(0);
    words[PEER.keyId + 1] = view.getInt32(4);
    Atomics.store(words, PEER.keySeen, isOpen ? KEY_SEEN.known : KEY_SEEN.unknown);
  }

  /** The switch tells of it; the block is counted once, for it stands until the peer writes the next. */
  #sawForeignHead(source: Source, block: Uint8Array): void {
    const { words } = source.words;
    if (sameBytes(block, HEAD.at.tag, source.foreignTag, 0, HEAD.size.tag) && words[PEER.headVersion] !== 0) return;
    source.foreignTag.set(block.subarray(HEAD.at.tag));
    Atomics.add(words, PEER.foreignHeads, 1);
    Atomics.store(words, PEER.headVersion, headVersion(block));
    this.#ports.bell();
  }
}

/** A slot that nobody has written yet. */
function isEmpty(block: Uint8Array): boolean {
  const { magic } = HEAD.at;
  return block[magic] === 0 && block[magic + 1] === 0 && block[magic + 2] === 0 && block[magic + 3] === 0;
}

export interface Confirmation {
  readonly readPosition: number;
  readonly nextData: number;
  readonly nextBulk: number;
}

/** How far a peer has read our ring, and what it has had of our lanes. The flush thread may wait for room. */
export function takeConfirmation(state: SharedState, words: Int32Array, times: Float64Array, from: Confirmation): void {
  if (from.readPosition > (times[PEER_TIME.peerReadPosition] ?? 0)) {
    times[PEER_TIME.peerReadPosition] = from.readPosition;
    if (Atomics.load(state.words, AGENT.ringFull) === 1) state.wake(AGENT.flushWake);
  }
  raise(words, PEER.confirmedData, from.nextData);
  raise(words, PEER.confirmedBulk, from.nextBulk);
}

/** Sequence words only go forward. */
function raise(words: Int32Array, index: number, value: number): void {
  const known = Atomics.load(words, index) >>> 0;
  if (value !== 0 && (known === 0 || seqAfter(value, known))) Atomics.store(words, index, value | 0);
}

/** The peer wrote something `seenMs`, by our clock. */
export function seenAlive(times: Float64Array, seenMs: number): void {
  if (seenMs > (times[PEER_TIME.storageSeenMs] ?? 0)) times[PEER_TIME.storageSeenMs] = seenMs;
}
