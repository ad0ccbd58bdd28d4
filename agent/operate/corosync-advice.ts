/**
 * Advice on corosync's token: the worst latency of the last minute, what it allows, and whether the configured token
 * keeps to it. It looks at what `status` shows, once a second, and only ever says something.
 */
import { type ReadConf, readCorosyncConf } from './corosync-file.ts';
import { COEFFICIENT_DEFAULT_MS, tokenMinMs } from './corosync-token.ts';

const LOOK_MS = 1000;
/** So many looks are remembered: a minute. */
const LOOKS_KEPT = 60;

/** Of a peer, as `status` shows it. */
export interface PeerDelays {
  readonly network: { readonly reachable: boolean; readonly rttMs: number | null };
  readonly storage: { readonly fresh: boolean; readonly lagMs: number | null };
}

export interface CorosyncDocument {
  readonly nodes: number;
  readonly oneWayMs: number | null;
  readonly tokenMinMs: number | null;
  readonly configuredTokenMs: number | null;
  readonly fits: boolean | null;
  readonly problem: string | null;
}

export interface AdviceEdges {
  /** The peers as they are now. May reject: then nothing is learned in that second. */
  readonly look: () => Promise<readonly PeerDelays[]>;
  /** `figures`: what the text goes by. */
  readonly warn: (text: string, figures: Partial<CorosyncDocument>) => void;
}

export class CorosyncAdvice {
  readonly #edges: AdviceEdges;
  readonly #worstMs: (number | null)[] = [];
  #path = '';
  #nodes = 0;
  #looks = 0;
  #timer: NodeJS.Timeout | undefined;
  #warned: string | null = null;

  constructor(edges: AdviceEdges) {
    this.#edges = edges;
  }

  /** Begins, or goes on with other settings. `nodes`: of the agent's cluster; corosync's own list counts more. */
  use(path: string, nodes: number): void {
    this.#path = path;
    this.#nodes = nodes;
    this.#timer ??= setInterval(() => void this.look(), LOOK_MS).unref();
    this.#warnOnce(this.document());
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async look(): Promise<void> {
    const peers = await this.#edges.look().catch(() => []);
    this.#worstMs.push(worstOneWayMs(peers));
    if (this.#worstMs.length > LOOKS_KEPT) this.#worstMs.shift();
    // Once a minute is soon enough: neither a storage nor an operator changes faster.
    if (++this.#looks % LOOKS_KEPT === 0) this.#warnOnce(this.document());
  }

  document(): CorosyncDocument {
    const { conf, problem }: ReadConf = readCorosyncConf(this.#path);
    const known = this.#worstMs.filter((worst) => worst !== null);
    const nodes = conf !== null && conf.nodes > 0 ? conf.nodes : this.#nodes;
    const ring = {
      nodes,
      coefficientMs: conf?.coefficientMs ?? COEFFICIENT_DEFAULT_MS,
      hasLinks: conf?.hasLinks ?? true,
    };
    const oneWayMs = known.length === 0 ? null : Math.max(...known);
    const tokenMin = oneWayMs === null ? null : tokenMinMs(oneWayMs, ring);
    return {
      nodes,
      oneWayMs: oneWayMs === null ? null : Math.round(oneWayMs * 1000) / 1000,
      tokenMinMs: tokenMin,
      configuredTokenMs: conf?.tokenMs ?? null,
      fits: conf === null || tokenMin === null ? null : conf.tokenMs >= tokenMin,
      problem,
    };
  }

  /** The same thing is said once, and again only after it was not so for a while; its figures may change meanwhile. */
  #warnOnce(document: CorosyncDocument): void {
    const trouble = document.problem ?? (document.fits === false ? 'misfit' : null);
    if (trouble !== null && trouble !== this.#warned) {
      const { oneWayMs, tokenMinMs, configuredTokenMs } = document;
      this.#edges.warn(document.problem ?? misfit(document), { oneWayMs, tokenMinMs, configuredTokenMs });
    }
    this.#warned = trouble;
  }
}

/** The worst way that a packet to or from some peer may have to take; null while nothing is known. */
function worstOneWayMs(peers: readonly PeerDelays[]): number | null {
  const ways = peers.flatMap(({ network, storage }) => [
    network.reachable && network.rttMs !== null ? network.rttMs / 2 : null,
    storage.fresh ? storage.lagMs : null,
  ]);
  const known = ways.filter((way) => way !== null);
  return known.length === 0 ? null : Math.max(...known);
}

function misfit(document: CorosyncDocument): string {
  return `corosync's token of ${document.configuredTokenMs} ms is too short for this storage: use ${document.tokenMinMs} or more`;
}
