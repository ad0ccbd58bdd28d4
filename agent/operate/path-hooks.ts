/**
 * Tells the operator's program (`hooks.onPath`) each change of a path. One program runs at a time: it may set one attribute
 * for the whole node, and two at once could leave the older word standing. What changes meanwhile waits as the newest state of each
 * peer, so at most one word for each peer waits. `suspect` is not told: it lasts for some probes and ends in a path that is.
 * A peer that leaves the settings is told once more, as `removed`: the program may keep something of each peer.
 */
import { systemClock } from '../platform/clock.ts';
import { HookProgram, type HookResult } from './hook-program.ts';

/** The worst last: what STILLBEAT_WORST is chosen by. */
const BADNESS = ['network', 'returning', 'storage', 'isolated'] as const;

export interface HookSettings {
  readonly onPath: string | null;
  readonly timeoutMs: number;
}

export interface HookOwner {
  readonly cluster: string;
  readonly node: string;
  readonly socket: string;
}

/** How one run ended; `fault` null: well. */
export interface HookReport extends HookResult {
  readonly peer: string;
  readonly program: string;
}

interface News {
  readonly path: string;
  readonly reason: string;
  readonly at: string;
}

interface Peer {
  /** The last word that a program was given; null: none yet. */
  told: string | null;
  news: News | null;
  /** It has left the settings, which is its news: when that is told it is forgotten. */
  isRemoved: boolean;
}

export class PathHooks {
  readonly #report: (report: HookReport) => void;
  readonly #peers = new Map<string, Peer>();
  #owner: HookOwner = { cluster: '', node: '', socket: '' };
  #settings: HookSettings = { onPath: null, timeoutMs: 0 };
  #running: HookProgram | null = null;
  #closed = false;

  constructor(report: (report: HookReport) => void) {
    this.#report = report;
  }

  /** The agent runs, with these settings and peers. What was told before holds. */
  use(settings: HookSettings, owner: HookOwner, names: readonly string[]): void {
    this.#settings = settings;
    this.#owner = owner;
    for (const [name, peer] of this.#peers) if (!names.includes(name)) this.#remove(name, peer);
    for (const name of names) this.#add(name);
    this.#next();
  }

  path(name: string, path: string, reason: string, at: string): void {
    const peer = this.#peers.get(name);
    if (!peer || peer.isRemoved || path === 'suspect') return;
    peer.news = { path, reason, at };
    this.#next();
  }

  /** What runs is ended: nobody waits for it. */
  close(): void {
    this.#closed = true;
    this.#running?.kill();
  }

  #add(name: string): void {
    const former = this.#peers.get(name);
    if (former && !former.isRemoved) return;
    // One that returns before its removal was told: what was told of it holds, and its path is to be seen.
    this.#peers.set(name, { told: former?.told ?? null, news: null, isRemoved: false });
  }

  /** Whom no program has heard of is forgotten at once. */
  #remove(name: string, peer: Peer): void {
    if (peer.told === null || this.#settings.onPath === null) this.#peers.delete(name);
    else if (!peer.isRemoved) {
      peer.isRemoved = true;
      const at = new Date(systemClock.wallMs()).toISOString();
      peer.news = { path: 'removed', reason: 'no longer in the settings', at };
    }
  }

  #next(): void {
    const { onPath: program, timeoutMs } = this.#settings;
    if (this.#closed || this.#running || program === null) return;
    for (const [name, peer] of this.#peers) {
      const { news, told } = peer;
      if (news === null || news.path === told) continue;
      const environment = this.#environment(name, told, news);
      peer.told = news.path;
      if (peer.isRemoved) this.#peers.delete(name);
      void this.#run(name, new HookProgram({ program, environment, timeoutMs }), program);
      return;
    }
  }

  async #run(peer: string, hook: HookProgram, program: string): Promise<void> {
    this.#running = hook;
    const result = await hook.run();
    this.#running = null;
    if (this.#closed) return;
    this.#report({ peer, program, ...result });
    this.#next();
  }

  #environment(peer: string, told: string | null, { path, reason, at }: News): Record<string, string> {
    const members = [...this.#peers].filter(([, { isRemoved }]) => !isRemoved);
    const paths = members.map(([name, { news }]) => [name, news?.path ?? ''] as const);
    const known = paths.flatMap(([, each]) => (each === '' ? [] : [each]));
    const worst = BADNESS.findLast((each) => known.includes(each)) ?? path;
    return {
      STILLBEAT_CLUSTER: this.#owner.cluster,
      STILLBEAT_NODE: this.#owner.node,
      STILLBEAT_SOCKET: this.#owner.socket,
      STILLBEAT_PEER: peer,
      STILLBEAT_FROM: told ?? '',
      STILLBEAT_TO: path,
      STILLBEAT_REASON: reason,
      STILLBEAT_AT: at,
      STILLBEAT_WORST: worst,
      STILLBEAT_PATHS: paths.map(([name, each]) => `${name}=${each}`).join(' '),
    };
  }
}
