/**
 * The target's side of the link: who is greeted, whose session runs, what is taken and what is told. Knows neither sockets nor
 * disks.
 *
 * A session runs from `begin` to the loss of its last connection, a newer session, or a trip; frames of any other session
 * change nothing ([MI5]). What the journal has no room for waits here; a connection of which much waits is not read.
 */
import { dataView } from '../../base/bytes.ts';
import type { Diverged } from '../core/meeting.ts';
import {
  ancestryKept,
  decodeBegin,
  decodeHello,
  decodeAhead,
  decodeKnown,
  decodeStop,
  generationBytes,
  GreetingError,
  type Begin,
  type Hello,
  type Stop,
} from '../link/greeting.ts';
import { CHECKSUMS } from '../scan/digest.ts';
import type { DigestWish } from '../scan/volume-digests.ts';
import type { ImageReport, ImageWrite } from '../threads/apply-loop.ts';
import { ENTRY, ENTRY_KIND, entryBytes, type Entry } from '../wire/entry.ts';
import { encodeWanted, type WantedBlock } from '../wire/checkpoint.ts';
import { FRAME_KIND, type Frame, type FrameKind } from '../wire/frame.ts';
import { CheckpointIntake } from './checkpoint-intake.ts';
import { Comparing } from './comparing.ts';
import type { Copy } from './copy.ts';
import { beginFault, policyOf, welcomeTo } from './meet-source.ts';
import { encodeAnswer, encodeStored } from './reports.ts';
import { readArrival } from './transfer.ts';

/** One connection. */
export interface Peer {
  /** Of the other end, for messages. */
  readonly address: string;
  send(kind: FrameKind, session: number, id: number, body?: Uint8Array): void;
  /** Sends `stop`, and ends it. */
  stop(stop: Stop): void;
  pause(): void;
  resume(): void;
}

export interface SessionsParts {
  readonly group: string;
  /** What a former source's volumes hold beyond what its successor has. */
  readonly diverged?: Diverged | null;
  /** Of the receive volumes. */
  digests(volume: number, wish: DigestWish): Promise<Uint8Array>;
  /** It will most likely be asked for digests soon. */
  prepare?(): void;
  /** Writes onto a receive volume at once; told by `written`. */
  write(image: ImageWrite): void;
  log(line: string): void;
  nowMs(): number;
  /** Looks whether the storage answers, before somebody is told. */
  look(): void;
  /** Calls `action` when all that has come together has been taken. */
  soon(action: () => void): void;
}

interface Link {
  readonly peer: Peer;
  hello: Hello | null;
  /** The session that it belongs to; 0 before. */
  session: number;
  heldBytes: number;
  longestBytes: number;
}

/** A transfer that is not, or not all, in the journal. */
interface Held {
  readonly link: Link;
  readonly transfer: number;
  readonly body: Uint8Array;
  /** Entries that are left, and where the next one begins. */
  left: number;
  offset: number;
}

const CLOSING: Stop = { reason: 'the target is being stopped', again: true };
/** A source asks more often whether we are there. */
const SILENT_MS = 3000;
const LINKS_MAX = 32;
/** On their way onto a volume at one time, each of some blocks. */
const IMAGES_MAX = 32;
/** Of one connection, and as much as three of its longest transfers: more is not read. Who keeps to the room goes beyond it by no more. */
const HELD_BYTES_MAX = 4 * 1024 * 1024;

export class Sessions {
  readonly #copy: Copy;
  readonly #parts: SessionsParts;
  readonly #links = new Map<Peer, Link>();
  /** The session that runs, or null. */
  #session: number | null = null;
  /** What its source said of itself. */
  #running: Hello | null = null;
  /** A superblock names it: entries may be taken. */
  #isReady = false;
  #held: Held[] = [];
  #isReporting = false;
  #told: { readonly received: number; readonly durable: number; readonly roomBytes: number } | null = null;
  #received = 0;
  #isClosing = false;
  /** When the source of the running session last said anything. */
  #heardMs = -Infinity;
  #comparing: Comparing | null = null;
  /** Of a copy that is in sync: nothing comes of it but words. */
  #verifying: Comparing | null = null;
  readonly #checkpoints: CheckpointIntake;
  #imageId = 0;
  /** Images on their way onto a volume, by their ids. */
  readonly #images = new Map<number, { readonly volume: number; readonly offset: number; readonly bytes: number }>();

  constructor(copy: Copy, parts: SessionsParts) {
    this.#copy = copy;
    this.#parts = parts;
    this.#checkpoints = new CheckpointIntake(copy.volumes);
  }

  /** The session that runs, null when none does. */
  get session(): number | null {
    return this.#session;
  }

  /** Whether the source is there: not by what TCP thinks of a link that was cut without a word. */
  get isSourceHere(): boolean {
    return this.#session !== null && this.#parts.nowMs() - this.#heardMs < SILENT_MS;
  }

  /** Where the connections of the running session come from. */
  get addresses(): readonly string[] {
    return this.#sessionLinks().map(({ peer }) => peer.address);
  }

  /** Contiguous mark in memory, as it was last told. */
  get received(): number {
    return Math.max(this.#received, this.#copy.shown.prefix.mark);
  }

  connected(peer: Peer): void {
    if (this.#isClosing) return peer.stop(CLOSING);
    if (this.#links.size >= LINKS_MAX)
      return peer.stop({ reason: `${LINKS_MAX} connections are open here`, again: true });
    this.#links.set(peer, { peer, hello: null, session: 0, heldBytes: 0, longestBytes: 0 });
  }

  /** Whether it has said who it is. */
  isGreeted(peer: Peer): boolean {
    const link = this.#links.get(peer);
    return !link || link.hello !== null;
  }

  frame(peer: Peer, frame: Frame, body: Uint8Array): void {
    const link = this.#links.get(peer);
    if (!link) return;
    if (link.session === this.#session) this.#heardMs = this.#parts.nowMs();
    try {
      this.#take(link, frame, body);
    } catch (error) {
      if (!(error instanceof GreetingError)) throw error;
      this.#refuse(link, { reason: error.message, again: false });
    }
  }

  disconnected(peer: Peer, reason: string): void {
    const link = this.#links.get(peer);
    if (!link) return;
    this.#links.delete(peer);
    if (link.session === 0 || link.session !== this.#session) return;
    // Its source sends them again: on another connection, or in another session.
    this.#held = this.#held.filter((held) => held.link !== link);
    this.#parts.log(`a connection of session ${link.session} from ${peer.address} is gone: ${reason}`);
    if (this.#sessionLinks().length === 0) this.#over();
  }

  /** The journal is durable further, or has more room. */
  progress(): void {
    this.#placeHeld();
    this.#reportSoon();
  }

  /** The receive volumes show this cut. */
  applied(cut: number): void {
    this.#checkpoints.applied(cut);
    this.#say(FRAME_KIND.applied, cut);
    this.progress();
  }

  /** What a cut's list could not bring. */
  wanted(cut: number, blocks: readonly WantedBlock[]): void {
    this.#say(FRAME_KIND.want, cut, encodeWanted(blocks));
  }

  /** Ends all connections. */
  close(): void {
    this.#isClosing = true;
    for (const link of this.#links.values()) link.peer.stop(CLOSING);
    this.#links.clear();
    this.#over();
  }

  #take(link: Link, frame: Frame, body: Uint8Array): void {
    const { kind, session, id } = frame;
    if (kind === FRAME_KIND.inquiry) return this.#answer(link, frame);
    if (link.hello === null) return this.#greet(link, frame, body);
    if (kind === FRAME_KIND.stop) return this.#stopped(link, body);
    if (kind === FRAME_KIND.begin) return this.#begin(link, link.hello, session, decodeBegin(body));
    if (session !== this.#session || link.session !== session) return undefined;
    switch (kind) {
      case FRAME_KIND.entries:
        return this.#entries(link, frame, body);
      case FRAME_KIND.commit:
        if (this.#copy.receiver.commit(session, id) !== null) this.#copy.committed();
        return undefined;
      case FRAME_KIND.roll:
        return this.#copy.roll(id);
      case FRAME_KIND.known:
        return this.#copy.heard(id, decodeKnown(body), decodeAhead(body));
      case FRAME_KIND.checkpoint:
        return this.#checkpoint(frame, body);
      case FRAME_KIND.regions:
        return (this.#comparing ?? this.#verifying)?.digests(body);
      case FRAME_KIND.verify:
        return this.#verify(session, id, body);
      case FRAME_KIND.resynced:
        return this.#copy.wholeAt(id);
      case FRAME_KIND.rebase:
        return this.#rebase(id, body);
      default:
        return this.#trip(`a frame of kind ${kind}, which this target does not take`, false);
    }
  }

  /** The direct question: answered at once, by a target whose disks hang too (CY7). */
  #answer({ peer }: Link, { session, id }: Frame): void {
    this.#parts.look();
    const { journalErrno, volumesErrno } = this.#copy;
    peer.send(FRAME_KIND.answer, session, id, encodeAnswer({ journalErrno, volumesErrno }));
  }

  #greet(link: Link, { kind }: Frame, body: Uint8Array): void {
    if (kind !== FRAME_KIND.hello) return this.#refuse(link, { reason: 'a hello has to come first', again: false });
    const hello = decodeHello(body);
    if (hello.session !== 0 && hello.session !== this.#session) {
      return this.#refuse(link, { reason: `session ${hello.session} does not run here`, again: true });
    }
    link.hello = hello;
    link.session = hello.session;
    const { hasCut, shown } = this.#copy;
    // The source's ring does not go back to where we end: nothing can be replayed.
    if (!hasCut || shown.prefix.mark < hello.tail.mark) this.#parts.prepare?.();
    link.peer.send(FRAME_KIND.welcome, 0, 0, welcomeTo(hello, this.#copy, this.#parts));
    return undefined;
  }

  #begin(link: Link, hello: Hello, session: number, begin: Begin): void {
    const isBegun = link.session !== 0;
    const running = this.isSourceHere ? this.#running : null;
    const fault = beginFault({ copy: this.#copy, group: this.#parts.group, isBegun, running }, hello, session, begin);
    if (fault) return this.#refuse(link, fault);
    const { peer } = link;
    this.#displace(hello, `session ${session} was begun from ${peer.address}: two sources must not run`);
    this.#session = session;
    this.#running = hello;
    this.#heardMs = this.#parts.nowMs();
    this.#isReady = false;
    this.#told = null;
    link.session = session;
    const generation = generationBytes(hello.generation);
    const ancestry = ancestryKept(hello.ancestry);
    const { from } = begin;
    const how = begin.how === 'replay' ? 'replay' : begin.isFirst ? 'in place' : 'staged';
    const what = how === 'replay' ? '' : `, ${begin.how}, ${how}`;
    this.#parts.log(`session ${session} from ${peer.address}, behind mark ${from.mark}${what}`);
    this.#received = from.mark;
    const policy = policyOf(hello, begin);
    this.#copy.begin({ session, generation, ancestry, policy, from, how }, () => {
      if (this.#session !== session) return;
      this.#isReady = true;
      this.#sayCut();
      this.#placeHeld();
      this.#report();
    });
    this.#comparing = how === 'replay' ? null : this.#comparison(session, begin, how);
    return undefined;
  }

  #verify(session: number, id: number, body: Uint8Array): void {
    const checksum = CHECKSUMS.find((one) => one === new TextDecoder().decode(body));
    if (!checksum || !this.#copy.hasCut || this.#copy.isStaged) return this.#trip('a verify that cannot be', true);
    // The one before is over: the copy is whole.
    this.#comparing = null;
    this.#verifying = id === 0 ? null : this.#comparison(session, { checksum }, 'report');
    return undefined;
  }

  /** It may have come to its cut while nobody heard. */
  #sayCut(): void {
    const { hasCut, isApplying, shown } = this.#copy;
    if (hasCut && !isApplying && shown.cut.mark > 0) this.#say(FRAME_KIND.applied, shown.cut.mark);
  }

  #comparison(
    session: number,
    { checksum }: Pick<Begin, 'checksum'>,
    how: 'in place' | 'staged' | 'report',
  ): Comparing {
    return new Comparing({
      checksum,
      how,
      volumes: this.#copy.volumes,
      digests: async (volume, wish) => this.#parts.digests(volume, wish),
      ask: (regions, body) => {
        if (session === this.#session) this.#say(FRAME_KIND.ask, regions, body);
      },
      failed: (error) => {
        if (session === this.#session) this.#trip(error.message, true);
      },
    });
  }

  /** [MI10] The source's ring has a hole: what is sent stands behind another point. */
  #rebase(mark: number, body: Uint8Array): void {
    if (body.length < 8 || !this.#copy.isStaged) return this.#trip('a base, and nothing is staged', true);
    this.#parts.log(`session ${this.#session}: what is sent stands behind mark ${mark} now`);
    this.#copy.rebase({ mark, chain: dataView(body).getBigUint64(0, true) });
    this.#received = mark;
    return this.#reportSoon();
  }

  /** From whoever writes images: one is on its volume, or will never be. */
  written({ image, errno }: ImageReport): void {
    const done = this.#images.get(image);
    this.#images.delete(image);
    if (errno !== 0) return this.#trip(`a receive volume fails (errno ${errno}): check the storage`, true);
    if (done) this.#comparing?.arrived(done.volume, done.offset, done.bytes);
    return this.#placeHeld();
  }

  /** Images that were written are gone: the comparison is begun anew. What is staged lies in the journal. */
  imagesLost(): void {
    if (this.#comparing && !this.#copy.isStaged)
      this.#trip('a receive volume failed while it was compared: check the storage', true);
  }

  /** Puts an image onto its volume, or into the journal where that is staged; false when it has to wait. */
  #image(entry: Entry, held: Held): boolean {
    const { volume, offset, payloadBytes, mark } = entry;
    if (this.#copy.isStaged) {
      const isPut = this.#copy.takeImage(entry, held.body, held.offset);
      if (isPut) this.#comparing?.arrived(volume, offset, payloadBytes);
      return isPut || this.#waitsForRoom(entry);
    }
    if (this.#images.size >= IMAGES_MAX) return false;
    if (mark < this.#copy.imagesFrom) this.#comparing?.again(volume, offset, payloadBytes);
    else {
      const image = ++this.#imageId;
      const at = held.offset + ENTRY.bytes;
      this.#images.set(image, { volume, offset, bytes: payloadBytes });
      this.#parts.write({ image, volume, offset, bytes: held.body.slice(at, at + payloadBytes) });
    }
    return true;
  }

  #checkpoint({ id, count }: Frame, body: Uint8Array): void {
    const { receiver } = this.#copy;
    const taken = this.#checkpoints.take(id, count, body, (mark) => receiver.arrivalAt(mark));
    const fault = typeof taken === 'string' ? taken : taken && this.#copy.checkpoint(taken);
    if (fault !== null) this.#trip(fault, true);
  }

  #entries(link: Link, { count, id }: Frame, body: Uint8Array): void {
    if (count === 0) return this.#trip(`transfer ${id} is empty`, true);
    this.#held.push({ link, transfer: id, body, left: count, offset: 0 });
    link.heldBytes += body.length;
    this.#placeHeld();
    link.longestBytes = Math.max(link.longestBytes, body.length);
    // A COMMIT that gives room must not stand behind what waits for room.
    if (link.heldBytes > HELD_BYTES_MAX + 3 * link.longestBytes) link.peer.pause();
    return this.#reportSoon();
  }

  #placeHeld(): void {
    if (this.#session === null || !this.#isReady) return;
    const { arrivals } = this.#copy;
    const { head } = arrivals;
    for (let held = this.#held[0]; held && this.#place(held); held = this.#held[0]) {
      this.#held.shift();
      const { link, body } = held;
      link.heldBytes -= body.length;
      if (link.heldBytes === 0) link.peer.resume();
    }
    if (arrivals.head > head) arrivals.publish();
  }

  /** Puts what is left of a transfer into the journal; false when not all of it has room now, or when it tripped. */
  #place(held: Held): boolean {
    const { facts } = this.#copy;
    while (held.left > 0) {
      const entry = readArrival(held.body, held.offset, facts);
      if (typeof entry === 'string') return this.#tripped(entry);
      const isImage = entry.kind === ENTRY_KIND.image;
      if (isImage && !this.#comparing) return this.#tripped('an image, and no comparison runs');
      if (isImage && !this.#image(entry, held)) return false;
      const isKept = !isImage && entry.kind !== ENTRY_KIND.skip;
      if (isKept && !this.#copy.take(entry, held.body, held.offset)) return this.#waitsForRoom(entry);
      if (!isImage) this.#checkpoints.arrived(held.transfer, entry.mark);
      held.offset += entryBytes(entry.payloadBytes);
      held.left--;
    }
    return held.offset === held.body.length || this.#tripped('a transfer with more bytes than its entries have');
  }

  /** Answers false: what has no room now is placed later, unless it would be never. */
  #waitsForRoom(entry: Entry): false {
    if (!this.#copy.isFullFor(entry)) return false;
    if (this.#copy.besideStaged) return this.#makeRoom(this.#copy.besideStaged);
    this.#trip(
      'the journal of this target has no room for all that differs: make it anew with a larger size, or say mirror resync --in-place at the source',
      false,
    );
    return false;
  }

  /**
   * What came before the comparison goes, for without it the copy would stay as old as it is for ever: its source has gone on
   * without it, and has let go of what follows on these entries.
   */
  #makeRoom(what: 'committed' | 'uncommitted'): false {
    const { cut, prefix } = this.#copy.shown;
    const does = what === 'committed' ? 'are brought in first' : 'were never committed, and are given up';
    const marks = `marks ${cut.mark + 1} to ${prefix.mark}`;
    this.#trip(`the journal has no room for all that differs beside ${marks}: these ${does}`, true);
    this.#copy.clearBeside(what);
    return false;
  }

  #tripped(reason: string): false {
    this.#trip(reason, true);
    return false;
  }

  /** One report for all that comes in one piece. */
  #reportSoon(): void {
    if (this.#isReporting) return;
    this.#isReporting = true;
    this.#parts.soon(() => {
      this.#isReporting = false;
      this.#report();
    });
  }

  #report(): void {
    if (this.#session !== null && !this.#isReady) return;
    const { receiver, arrivals } = this.#copy;
    for (const action of receiver.flushed(arrivals.durable)) {
      // Between two sessions nobody is told: the next one begins where the chain holds.
      if (this.#session === null) return;
      if (action.do === 'trip') return this.#trip(action.reason, true);
      if (action.do === 'stored') this.#stored(action.received, action.durable);
      else this.#say(FRAME_KIND.sealed, action.cycle);
    }
  }

  #stored(received: number, durable: number): void {
    const { roomBytes } = this.#copy.arrivals;
    const told = this.#told;
    this.#received = received;
    if (told?.received === received && told.durable === durable && told.roomBytes === roomBytes) return;
    this.#told = { received, durable, roomBytes };
    this.#say(FRAME_KIND.stored, received, encodeStored({ durable, roomBytes }));
  }

  /** On the oldest connection of the session. */
  #say(kind: FrameKind, id: number, body?: Uint8Array): void {
    const [link] = this.#sessionLinks();
    if (link && this.#session !== null) link.peer.send(kind, this.#session, id, body);
  }

  #sessionLinks(): Link[] {
    if (this.#session === null) return [];
    return [...this.#links.values()].filter(({ session }) => session === this.#session);
  }

  #stopped(link: Link, body: Uint8Array): void {
    const { reason } = decodeStop(body);
    this.#parts.log(`the source at ${link.peer.address} ends the session: ${reason}`);
    this.#refuse(link, { reason: 'as you said', again: true }, false);
  }

  #refuse(link: Link, stop: Stop, isTold = true): void {
    if (isTold) this.#parts.log(`a source at ${link.peer.address} is sent away: ${stop.reason}`);
    this.#links.delete(link.peer);
    link.peer.stop(stop);
    if (link.session !== 0 && link.session === this.#session && this.#sessionLinks().length === 0) this.#over();
  }

  /** Nothing more is taken in this session. */
  #trip(reason: string, again: boolean): void {
    this.#parts.log(`session ${this.#session} ends: ${reason}`);
    this.#endSession({ reason, again });
  }

  /**
   * One of another generation comes back: it learns here that it was overtaken, or is let in when who is here has gone. Two of one
   * generation (a journal was copied) cannot be told apart, and would drive each other out for ever.
   */
  #displace(by: Hello, reason: string): void {
    if (this.#session === null) return;
    this.#parts.log(`session ${this.#session} ends: ${reason}`);
    this.#endSession({ reason, again: this.#running?.generation !== by.generation });
  }

  #endSession(stop: Stop): void {
    const links = this.#sessionLinks();
    this.#over();
    for (const { peer } of links) {
      this.#links.delete(peer);
      peer.stop(stop);
    }
  }

  /** The session is over; nothing that it brought is dropped (MI5). */
  #over(): void {
    this.#copy.lost();
    this.#session = null;
    this.#running = null;
    this.#isReady = false;
    this.#held = [];
    this.#comparing = null;
    this.#verifying = null;
    this.#images.clear();
    this.#checkpoints.reset();
  }
}
