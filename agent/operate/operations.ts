/**
 * What an operator's tools see of the agent beside its log: the service manager, hooks, and figures. It looks at the status
 * document and at events; nothing on a packet's way knows of it, and none of its failures stops the agent once it runs.
 */
import { NotifySocket } from '../platform/notify-socket.ts';
import type { Endpoint, Settings } from '../settings/settings.ts';
import type { EventKind } from './event-kinds.ts';
import type { HttpOutlet } from './http-outlet.ts';
import { serveMetrics } from './metrics-server.ts';
import { metricsTable } from './metrics-table.ts';
import { metricsText } from './metrics-text.ts';
import { Notifier, takeNotifyEnvironment } from './notifier.ts';
import { type HookReport, PathHooks } from './path-hooks.ts';

type Document = Readonly<Record<string, unknown>>;
type Figures = Readonly<Record<string, unknown>>;

/** What the program lets be seen of itself, and whom it lets speak into its log. */
export interface Watched {
  /** The status document. Rejects while the agent starts. */
  readonly status: () => Promise<Document>;
  /** Whether the threads do their work. */
  readonly isMoving: () => boolean;
  /** Something for the log and the list of events. */
  readonly tell: (kind: EventKind, figures: Figures) => void;
}

/**
 * So long after a start or a reload the paths are looked at: the judge begins with `isolated` and says nothing while it stays
 * so, and a peer that nobody has heard of must be told too.
 */
const SETTLE_MS = 3000;

export class Operations {
  readonly #watched: Watched;
  readonly #notifier: Notifier;
  readonly #hooks: PathHooks;
  readonly #counts = {
    events: new Map<string, number>(),
    changes: new Map<string, number>(),
    hookRuns: new Map<string, number>(),
  };
  #metrics: HttpOutlet | null = null;
  #settled: NodeJS.Timeout | undefined;

  private constructor(watched: Watched) {
    this.#watched = watched;
    const { socket, watchdogMs } = takeNotifyEnvironment(process.env, process.pid);
    this.#notifier = new Notifier(socket === null ? null : NotifySocket.open(socket), watchdogMs, watched.isMoving);
    this.#hooks = new PathHooks((report) => this.#hookEnded(report));
  }

  /** Throws when the figures cannot be served: at the start a mistake of the settings is told, not passed over. */
  static async open(settings: Settings, watched: Watched): Promise<Operations> {
    const operations = new Operations(watched);
    if (settings.metricsListen !== null) {
      operations.#metrics = await operations.#serve(settings.metricsListen).catch((error: unknown) => {
        operations.close();
        throw error;
      });
    }
    return operations;
  }

  /** The agent runs with these settings. A place for the figures that cannot be had leaves them where they are. */
  async running(settings: Settings): Promise<void> {
    const peers = settings.peers.map(({ node }) => node);
    const { cluster, node, controlSocket: socket } = settings;
    this.#hooks.use(settings.hooks, { cluster, node, socket }, peers);
    this.#notifier.peers(peers);
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => void this.#lookAtPaths(), SETTLE_MS);
    this.#settled.unref();
    await this.#moveMetrics(settings.metricsListen);
  }

  ready(): void {
    this.#notifier.ready();
  }

  reloading(): void {
    this.#notifier.reloading();
  }

  stopping(): void {
    this.#notifier.stopping();
    clearTimeout(this.#settled);
    this.#hooks.close();
  }

  /** Everything that the log gets, as it gets it. */
  event(kind: string, figures: Figures, at: string): void {
    count(this.#counts.events, kind);
    if (kind !== 'path') return;
    const [peer, to] = [String(figures['peer']), String(figures['to'])];
    if (to === 'suspect' || (to === 'network' && figures['from'] === 'suspect')) return;
    count(this.#counts.changes, `${peer} ${to}`);
    this.#path(peer, to, String(figures['reason']), at);
  }

  close(): void {
    clearTimeout(this.#settled);
    this.#hooks.close();
    this.#notifier.close();
    this.#metrics?.close();
    this.#metrics = null;
  }

  #path(peer: string, path: string, reason: string, at: string): void {
    this.#notifier.path(peer, path);
    this.#hooks.path(peer, path, reason, at);
  }

  async #lookAtPaths(): Promise<void> {
    const document = await this.#watched.status().catch(() => null);
    for (const peer of (document?.['peers'] as Document[] | undefined) ?? []) {
      const [name, path] = [String(peer['node']), String(peer['path'])];
      if (path !== 'suspect') this.#path(name, path, 'as it is after the start', String(peer['since']));
    }
  }

  async #serve(endpoint: Endpoint): Promise<HttpOutlet> {
    return serveMetrics(endpoint, async () => metricsText(await this.#watched.status(), metricsTable(this.#counts)));
  }

  async #moveMetrics(endpoint: Endpoint | null): Promise<void> {
    const old = this.#metrics;
    if (endpoint?.host === old?.endpoint.host && endpoint?.port === old?.endpoint.port) return;
    try {
      this.#metrics = endpoint === null ? null : await this.#serve(endpoint);
      old?.close();
    } catch (error) {
      this.#watched.tell('metrics-not-moved', { reason: error instanceof Error ? error.message : String(error) });
    }
  }

  #hookEnded({ peer, program, fault, said }: HookReport): void {
    count(this.#counts.hookRuns, fault === null ? 'done' : 'failed');
    if (fault === null) return;
    this.#watched.tell('hook-failed', { peer, program, reason: fault, ...(said === '' ? {} : { said }) });
  }
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
