/** A source's session with one target, on a link that goes where the test says: what becomes of an attempt that is called off. */
import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, test } from 'vitest';
import { OutOfSync } from '../../../../agent/mirror/core/out-of-sync.ts';
import { TargetLink } from '../../../../agent/mirror/core/target-link.ts';
import { LinkConnection, type LinkSocket } from '../../../../agent/mirror/link/connection.ts';
import { encodeStop, encodeWelcome } from '../../../../agent/mirror/link/greeting.ts';
import type { SessionHost } from '../../../../agent/mirror/source/session-host.ts';
import { TargetSession } from '../../../../agent/mirror/source/target-session.ts';
import { encodeStored } from '../../../../agent/mirror/target/reports.ts';
import { FRAME_KIND, type Frame } from '../../../../agent/mirror/wire/frame.ts';

const { hello, welcome, begin, stored, stop } = FRAME_KIND;
const VOLUMES = [{ name: 'one', bytes: 16_384 }];
const GENERATION = 'ab'.repeat(16);
const START = { position: 0, mark: 0, chain: 0n, time: 0n, cycle: 0 };
/** What the target lacks begins there, behind the oldest that the ring has. */
const HELD = { ...START, position: 512 };
const RING = { ringBytes: 65_536, windowBytes: 65_536 };

/** One end of a link; what it is given arrives at the other end when all else of the turn is done. */
class End extends EventEmitter {
  other!: End;
  isDestroyed = false;
  readonly writableLength = 0;
  cork(): void {}
  uncork(): void {}

  get writable(): boolean {
    return !this.isDestroyed;
  }

  write(bytes: Uint8Array): void {
    const copy = bytes.slice();
    setImmediate(() => this.other.isDestroyed || this.other.emit('data', copy));
  }

  destroy(error?: Error): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    setImmediate(() => {
      if (error) this.emit('error', error);
      this.emit('close');
      this.other.destroy();
    });
  }
}

/** A target that answers when the test says so. */
class World {
  nowMs = 0;
  #timers: { readonly atMs: number; readonly action: () => void }[] = [];
  /** Sockets that were dialled, oldest first. */
  readonly dials: End[] = [];
  /** What the source said on the newest connection. */
  heard: Frame[] = [];
  /** The ring has what the target lacks, and can keep it. */
  isKept = true;
  /** From where on it was told to. */
  readonly keptFrom: number[] = [];
  target!: LinkConnection;
  readonly session: TargetSession;

  constructor(connections = 1) {
    const after = (ms: number, action: () => void): (() => void) => {
      const timer = { atMs: this.nowMs + ms, action };
      this.#timers.push(timer);
      return () => (this.#timers = this.#timers.filter((one) => one !== timer));
    };
    const host = {
      machine: {
        clock: { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs },
        timers: { after, idly: after, every: () => () => {}, soon: setImmediate },
        network: { dial: () => this.#dial() },
      },
      ring: { ...RING, head: HELD.position, durable: HELD.position, windowFrom: () => null, inFile: () => true },
      readFile: async () => {},
      group: 'group',
      shape: { group: 'group', volumes: VOLUMES, generation: GENERATION, ancestry: [] },
      policy: 'degrade',
      rival: () => {},
      oldest: START,
      newest: 0,
      begun: START,
      placeBefore: () => HELD,
      keepFrom: (position: number) => {
        this.keptFrom.push(position);
        return this.isKept;
      },
      durable: async () => Promise.resolve(START),
      keepsTransfers: false,
      key: () => new Uint8Array(32),
      compared: { checksum: 'crc32', volumes: VOLUMES },
      changed: () => {},
      tell: () => {},
    };
    const order = { name: 't', isPaused: false, compare: null, scanned: 0 };
    const inquiry = { intervalMs: 250, misses: 4 };
    this.session = new TargetSession(
      { name: 't', address: { host: 't', port: 1 }, connections, order, inquiry, bytesPerSecond: 0 },
      new TargetLink('t', 0, 0),
      new OutOfSync(VOLUMES, 0),
      host as unknown as SessionHost,
    );
    this.session.start();
  }

  /** Everything that needs no time has happened. */
  async settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  }

  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    const due = this.#timers.filter(({ atMs }) => atMs <= this.nowMs);
    this.#timers = this.#timers.filter(({ atMs }) => atMs > this.nowMs);
    for (const { action } of due) action();
    await this.settle();
  }

  /** The newest connection is made. */
  async connects(): Promise<void> {
    await this.settle();
    const socket = this.dials.at(-1);
    this.heard = [];
    const events = { frame: (frame: Frame) => this.heard.push(frame), drain: () => {}, closed: () => {} };
    this.target = new LinkConnection(socket?.other as unknown as LinkSocket, events);
    socket?.emit('secureConnect');
    await this.settle();
  }

  /** The target says that it is where the source is. */
  async welcomes(): Promise<void> {
    const at = { mark: 0, chain: 0n };
    const view = { group: 'group', volumes: VOLUMES, generation: GENERATION, ancestry: [], diverged: null };
    const here = {
      hasCut: true,
      cut: at,
      prefix: at,
      isTakenOver: false,
      session: 7,
      roomBytes: 65_536,
      isFollowed: false,
      ...RING,
    };
    this.target.send(welcome, 0, 0, 0, encodeWelcome({ ...view, ...here }));
    await this.settle();
  }

  async stops(again: boolean): Promise<void> {
    this.target.send(stop, 0, 0, 0, encodeStop({ reason: 'not you', again }));
    await this.settle();
  }

  /** Kinds of frames. */
  get said(): number[] {
    return this.heard.map(({ kind }) => kind);
  }

  #dial(): LinkSocket {
    const [ours, theirs] = [new End(), new End()];
    [ours.other, theirs.other] = [theirs, ours];
    this.dials.push(ours);
    return ours as unknown as LinkSocket;
  }
}

let world: World;

beforeEach(async () => {
  world = new World();
  await world.settle();
});

test('a session is begun when the target is where the source is', async () => {
  await world.connects();
  expect(world.said).toEqual([hello]);
  await world.welcomes();
  expect(world.said).toEqual([hello, begin]);
  expect(world.session.begun).toBe(8);
});

describe('what is called off before the session is begun does not begin', () => {
  const CALLS: [string, (session: TargetSession) => void][] = [
    ['a source that was overtaken', (session) => session.stop('overtaken')],
    ['a pause', (session) => session.pause()],
    ['an order to compare all of it', (session) => session.compareAll(false)],
    ['a source that has another word to say', (session) => session.redial('the source has given up its role')],
  ];

  test.each(CALLS)('in the greeting: %s', async (_, call) => {
    await world.connects();
    call(world.session);
    await world.welcomes();
    expect(world.said).toEqual([hello]);
    expect(world.session.begun).toBe(0);
    expect(world.dials[0]?.isDestroyed).toBe(true);
  });

  test.each(CALLS)('while it is dialled: %s', async (_, call) => {
    call(world.session);
    await world.connects();
    expect(world.said).toEqual([]);
    expect(world.dials[0]?.isDestroyed).toBe(true);
  });

  test('one that is paused in the greeting is not dialled before it is resumed', async () => {
    await world.connects();
    world.session.pause();
    await world.welcomes();
    expect(world.session.link.state).toBe('stopped');
    await world.pass(60_000);
    expect(world.dials).toHaveLength(1);
    world.session.resume();
    await world.settle();
    expect(world.dials).toHaveLength(2);
  });
});

test('[CY2] more connections join when the session is begun there, and are dialled again when they are lost', async () => {
  world = new World(3);
  await world.connects();
  await world.welcomes();
  expect(world.dials).toHaveLength(1);
  world.target.send(stored, world.session.begun, 0, 0, encodeStored({ durable: 0, roomBytes: 65_536 }));
  await world.settle();
  // Two, and one for the direct question.
  expect(world.dials).toHaveLength(4);
  expect(world.session.connections).toBe(1);
  await world.connects();
  expect(world.heard.map(({ kind, session }) => [kind, session])).toEqual([[hello, 0]]);
  await world.welcomes();
  expect(world.session.connections).toBe(2);
  world.target.end('lost');
  await world.settle();
  expect(world.session.connections).toBe(1);
  await world.pass(1000);
  expect(world.dials).toHaveLength(5);
  await world.connects();
  await world.welcomes();
  expect(world.session.connections).toBe(2);
  world.session.pause();
  await world.settle();
  expect(world.session.connections).toBe(0);
  expect(world.dials.every(({ isDestroyed }) => isDestroyed)).toBe(true);
});

describe('what the ring kept nothing for', () => {
  test('is let go of while they meet: no session is begun, and its bitmap stays in force', async () => {
    world.session.overflowed();
    await world.connects();
    world.isKept = false;
    await world.welcomes();
    expect(world.said).toEqual([hello]);
    expect([world.session.link.state, world.session.link.isOutdated]).toEqual(['bitmap', true]);
  });

  test('is kept again from the moment on at which the session begins', async () => {
    world.session.overflowed();
    await world.connects();
    expect(world.keptFrom).toEqual([]);
    await world.welcomes();
    expect([world.session.link.isOutdated, world.keptFrom]).toEqual([false, [HELD.position]]);
  });
});

describe('sent away for good', () => {
  test('before it has begun the session too: it is asked again after seconds', async () => {
    await world.connects();
    await world.welcomes();
    await world.stops(false);
    await world.pass(2999);
    expect(world.dials).toHaveLength(1);
    await world.pass(1);
    expect(world.dials).toHaveLength(2);
  });

  test('out of a session that it had begun too: after minutes', async () => {
    await world.connects();
    await world.welcomes();
    world.target.send(stored, world.session.begun, 0, 0, encodeStored({ durable: 0, roomBytes: 65_536 }));
    await world.settle();
    // One more for the direct question.
    expect(world.dials).toHaveLength(2);
    await world.stops(false);
    await world.pass(599_999);
    expect(world.dials).toHaveLength(2);
    await world.pass(1);
    expect(world.dials).toHaveLength(3);
  });
});
