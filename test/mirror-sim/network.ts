/**
 * Links of simulated machines: streams of bytes with a delay and a rate, which stall while the way is cut, break in the middle
 * of a frame, and may bring whole frames in another order, twice, damaged, or from an earlier session, as a hostile network would.
 * Of several connections of a link each has a delay of its own, and may break or fall silent alone.
 */
import type { Network } from '../../agent/mirror/machine.ts';
import type { LinkSocket } from '../../agent/mirror/link/connection.ts';
import { FRAME, FRAME_KIND } from '../../agent/mirror/wire/frame.ts';
import type { World } from '../sim/world.ts';
import type { SimMachine } from './machine.ts';
import { SimSocket } from './socket.ts';
import { GOOD_LINK, viewOf, type LinkFaults, type Tap, type Wires } from './way.ts';
import { Pair } from './wire.ts';

const RECORDED_MAX = 64;
/** When all is healed: then no small journal is to be too small for what is written while a far connection answers. */
const APART_MS_HEALED = 2;

interface Listener {
  readonly machine: SimMachine;
  readonly onLink: (socket: LinkSocket) => void;
}

/** Frames of earlier sessions, to be repeated. */
export interface Recorded {
  readonly session: number;
  readonly frame: Uint8Array;
}

export class SimNetwork implements Wires {
  readonly #world: World;
  readonly #listeners = new Map<string, Listener>();
  readonly #links = new Map<string, LinkFaults>();
  #pairs: Pair[] = [];
  /** By link and who dialled: what was sent in sessions so far. */
  readonly #recorded = new Map<string, Recorded[]>();
  /** Looks at, changes, or swallows (null) each frame; for bugs that are planted, and for what only the wire shows. */
  tap: Tap = (_l, _d, frame) => frame;

  /** Delays of connections of one link differ by up to so many ms. */
  apartMs = 0;
  /** A transfer has come to a target over this connection. */
  arrived: Wires['arrived'] = () => {};

  /** Alters a frame of an earlier session before it comes again in session `newest`; for a bug that is planted. */
  replayed: (frame: Uint8Array, newest: number) => Uint8Array = (frame) => frame;

  constructor(world: World) {
    this.#world = world;
  }

  get world(): World {
    return this.#world;
  }

  /** Of the link to this target. */
  faults(link: string): LinkFaults {
    const known = this.#links.get(link);
    if (known) return known;
    const made: LinkFaults = { ...GOOD_LINK, up: [true, true] };
    this.#links.set(link, made);
    return made;
  }

  /** Changes a link, and lets go on what stood because of it. */
  change(link: string, change: Partial<LinkFaults>): void {
    Object.assign(this.faults(link), change);
    for (const pair of this.#pairs) if (pair.link === link) pair.wake();
  }

  heal(): void {
    this.apartMs = Math.min(this.apartMs, APART_MS_HEALED);
    for (const { own } of this.#pairs)
      Object.assign(own, { isSilent: false, delayMs: Math.min(own.delayMs, APART_MS_HEALED) });
    for (const link of this.#links.keys()) this.change(link, { ...GOOD_LINK, up: [true, true] });
  }

  /** Breaks all connections of a link, in the middle of whatever is under way. */
  reset(link: string): void {
    for (const pair of this.#pairs) if (pair.link === link) pair.reset();
  }

  /** Breaks one of several connections of a link that is not its first one. */
  resetOne(link: string): void {
    this.#extra(link)?.reset();
  }

  /** One of several connections of a link that is not its first one brings nothing for a while; its two ends hear nothing of that. */
  silenceOne(link: string, ms: number): void {
    const pair = this.#extra(link);
    if (!pair) return;
    pair.own.isSilent = true;
    this.#world.after(ms, () => {
      pair.own.isSilent = false;
      pair.wake();
    });
  }

  #extra(link: string): Pair | null {
    const pairs = this.#pairs.filter((pair) => pair.link === link && pair.isOpen);
    const extras = pairs.filter(({ by }, i) => pairs.findIndex((one) => one.by === by) < i);
    return extras.length === 0 ? null : this.#world.prng.pick(extras);
  }

  /** Connections bring frames of earlier sessions once more. */
  replay(link: string, count: number): void {
    for (const [key, recorded] of this.#recorded) {
      const [by, to] = key.split('>');
      if (to !== link) continue;
      const newest = Math.max(0, ...recorded.map(({ session }) => session));
      const older = recorded.filter(({ session }) => session < newest);
      for (let i = 0; i < count && older.length > 0; i++)
        this.inject(link, this.replayed(this.#world.prng.pick(older).frame, newest), by);
    }
  }

  /** Brings a frame to the target, behind what is under way. */
  inject(link: string, frame: Uint8Array, by?: string): void {
    const isIt = (one: Pair): boolean => one.link === link && one.isOpen && (by === undefined || one.by === by);
    this.#pairs.findLast(isIt)?.inject(frame);
  }

  record(link: string, by: string, frame: Uint8Array): void {
    const session = Number(viewOf(frame).getBigUint64(FRAME.at.session, true));
    // Who begins a session does it once, on a connection of its own.
    if (session === 0 || frame[FRAME.at.kind] === FRAME_KIND.begin) return;
    const key = `${by}>${link}`;
    const recorded = this.#recorded.get(key) ?? [];
    this.#recorded.set(key, recorded);
    if (recorded.length < RECORDED_MAX) recorded.push({ session, frame });
    else recorded[this.#world.prng.below(RECORDED_MAX)] = { session, frame };
  }

  /** What a machine that ends leaves: its peers hear of it, unless its power went with it: then when it is back. */
  ended(machine: SimMachine, isTold: boolean): void {
    for (const [name, listener] of this.#listeners) if (listener.machine === machine) this.#listeners.delete(name);
    for (const pair of this.#pairs) pair.orphan(machine, isTold);
  }

  /** A host is up again: who still talks to what ran there before is told. */
  isBack(): void {
    for (const pair of this.#pairs) pair.tellOrphan();
    this.#pairs = this.#pairs.filter((pair) => !pair.isDead);
  }

  of(machine: SimMachine): Network {
    return {
      dial: ({ host }) => this.#dial(machine, host) as unknown as LinkSocket,
      listen: async ({ address, onLink }) => {
        this.#listeners.set(address.host, { machine, onLink });
        const server = { address: () => ({ address: address.host, port: address.port, family: 'IPv4' }) };
        return { server, close: () => this.#listeners.delete(address.host) };
      },
      serve: async () => ({ port: 0, close: async () => {} }),
    };
  }

  #dial(machine: SimMachine, link: string): SimSocket {
    const client = new SimSocket(machine);
    const faults = this.faults(link);
    const roundMs = 4 * (faults.delayMs + this.#world.within(0.05, 0.3));
    this.#world.after(roundMs, () => {
      // Nothing answers: the one who dials gives up by himself.
      if (!faults.up[0] || !faults.up[1] || client.isDestroyed) return;
      const listener = this.#listeners.get(link);
      if (!listener) return client.destroy(new Error('connect ECONNREFUSED'));
      listener.machine.run(() => {
        if (client.isDestroyed) return;
        const server = new SimSocket(listener.machine);
        const pair = new Pair(this, link, client, server, this.apartMs > 0 ? this.#world.within(0, this.apartMs) : 0);
        this.#pairs = this.#pairs.filter((one) => !one.isDead);
        this.#pairs.push(pair);
        listener.onLink(server as unknown as LinkSocket);
        client.machine.run(() => client.emit('secureConnect'));
      });
    });
    return client;
  }
}
