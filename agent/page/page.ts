/**
 * The page as the agent has it: served while the settings say so, and fed while somebody looks. One look a second for all
 * viewers, serialised once; at a change of a way at once. Nothing at all runs when nobody looks.
 */
import { readFileSync } from 'node:fs';
import { ask } from '../control-client.ts';
import { AgentError } from '../base/errors.ts';
import { systemClock } from '../platform/clock.ts';
import { readKeyFile } from '../settings/key.ts';
import { endpointText } from '../settings/address.ts';
import type { PageSettings, Settings } from '../settings/settings.ts';
import { type EventKind, kindOf } from '../operate/event-kinds.ts';
import { type Minute, MomentMaker } from '../view/figures.ts';
import type { EventView, StatusView } from '../view/status.ts';
import type { BeginView, NowView } from './document.ts';
import { pageFiles } from './files.ts';
import { Tokens } from './guard.ts';
import type { SeenVolume } from './look.ts';
import type { HttpOutlet } from '../operate/http-outlet.ts';
import { servePage } from './server.ts';
import { nowView, WordAges } from './snapshot.ts';
import { eventText, Viewers } from './viewers.ts';
import { VolumeLooker } from './volume-looker.ts';

const LOOK_MS = 1000;
/** A change of a way is shown at once, but a storm of them not more often than this. */
const AT_ONCE_MS = 100;
const MIRROR_MS_MAX = 800;
/** The thread that reads volumes waits so long for the next viewer. */
const LINGER_MS = 10_000;

export interface PageSources {
  readonly status: () => Promise<Readonly<Record<string, unknown>>>;
  readonly past: () => { readonly events: readonly EventView[]; readonly minutes: readonly Minute[] };
  readonly keys: () => readonly Uint8Array[];
}

/** What became of the page, for the log. */
export interface PageNews {
  readonly kind: EventKind;
  readonly figures: Readonly<Record<string, unknown>>;
}

export class Page {
  readonly #sources: PageSources;
  readonly #viewers = new Viewers(() => this.#viewersChanged());
  readonly #looker = new VolumeLooker();
  #settings: PageSettings | null = null;
  #server: HttpOutlet | null = null;
  #timer: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #idle: NodeJS.Timeout | undefined;
  #maker = new MomentMaker();
  #ages = new WordAges();
  #seen: readonly SeenVolume[] = [];
  #now: NowView | null = null;
  #isLooking = false;
  #lookedMs = -Infinity;

  constructor(sources: PageSources) {
    this.#sources = sources;
  }

  /**
   * The settings hold. Throws, at the start, when a place that they name cannot be had; the default's is then told and left.
   * Later a page that cannot be moved stays where it is. The caller tells the news when nothing else refuses the settings any
   * more: a start that comes to nothing says why and no more.
   */
  async use(settings: Settings, isStart: boolean): Promise<PageNews | null> {
    const wanted = settings.page;
    // The keys may have changed: the thread that opens with them begins anew.
    this.#looker.close();
    if (JSON.stringify(wanted) === JSON.stringify(this.#settings) && wanted?.tokenFile === null) return null;
    const former = this.#server;
    if (wanted === null) {
      this.#close();
      this.#settings = null;
      return null;
    }
    try {
      const isSamePlace = former !== null && endpointText(former.endpoint) === endpointText(wanted.listen);
      const tokens = tokensOf(settings, wanted);
      // Two servers cannot have one place: the former one goes first.
      if (isSamePlace) this.#close();
      this.#server = await this.#serve(wanted, tokens);
      if (!isSamePlace) former?.close();
      this.#settings = wanted;
      const token = tokens.isNeeded ? 'needed' : 'none';
      return { kind: 'page', figures: { url: `http://${endpointText(wanted.listen)}/`, token } };
    } catch (error) {
      if (isStart && !wanted.isDefault) throw error;
      return { kind: 'page-off', figures: { reason: error instanceof Error ? error.message : String(error) } };
    }
  }

  /** An event as it is kept. Who looks sees it at once, and at a change of a way everything that comes of it. */
  note(event: EventView): void {
    if (this.#viewers.count === 0 || event.kind === 'figures') return;
    this.#viewers.send(eventText('event', withLevel(event)));
    if (event.kind === 'path') this.lookSoon();
  }

  /** A way has changed. */
  lookSoon(): void {
    if (this.#viewers.count === 0) return;
    const waitMs = Math.max(0, this.#lookedMs + AT_ONCE_MS - systemClock.monotonicMs());
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      void this.#look();
    }, waitMs).unref();
  }

  /** What a viewer would see now, for one that asks again and again. */
  async view(): Promise<BeginView> {
    if (systemClock.monotonicMs() - this.#lookedMs > LOOK_MS / 4) await this.#look();
    this.#linger();
    return this.#begin();
  }

  close(): void {
    this.#close();
    this.#looker.close();
    clearTimeout(this.#idle);
  }

  #close(): void {
    this.#viewers.close();
    this.#server?.close();
    this.#server = null;
  }

  async #serve({ listen, hosts }: PageSettings, tokens: Tokens): Promise<HttpOutlet> {
    return servePage(listen, {
      files: pageFiles(),
      tokens,
      hosts,
      view: (response) => this.#viewers.add(response, eventText('begin', this.#begin())),
      packets: async (volume, node) => {
        if (!this.#paths(await this.#status()).includes(volume)) {
          throw new AgentError('usage', 'this node does not use that volume');
        }
        const packets = await this.#looker.packets(volume, node, () => this.#keys());
        this.#linger();
        return packets;
      },
    });
  }

  #begin(): BeginView {
    const { events, minutes } = this.#sources.past();
    return { events: events.map(withLevel), minutes, now: this.#now };
  }

  #viewersChanged(): void {
    if (this.#viewers.count === 0) {
      clearInterval(this.#timer);
      clearTimeout(this.#soon);
      this.#timer = this.#soon = undefined;
      this.#now = null;
      this.#linger();
      return;
    }
    this.lookSoon();
    this.#timer ??= setInterval(() => void this.#look(), LOOK_MS).unref();
  }

  #linger(): void {
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      if (this.#viewers.count === 0) this.#looker.close();
    }, LINGER_MS).unref();
  }

  async #status(): Promise<StatusView> {
    return (await this.#sources.status()) as unknown as StatusView;
  }

  #paths({ storage }: StatusView): string[] {
    return [...new Set([storage.volume, ...storage.receive.map(({ volume }) => volume)])];
  }

  #keys(): readonly Uint8Array[] | null {
    const keys = this.#sources.keys();
    return keys.length === 0 ? null : keys.map((key) => key.slice());
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#lookedMs = systemClock.monotonicMs();
    try {
      const status = await this.#status();
      // What hangs for the agent is not asked: it would only keep a thread.
      const away = status.storage.receive.filter(({ available }) => !available).map(({ volume }) => volume);
      const paths = this.#paths(status);
      void this.#read(paths.filter((path) => !away.includes(path)));
      const nowMs = systemClock.monotonicMs();
      const hanging = new Set([...away, ...this.#looker.hanging]);
      const unseen = [...hanging].filter((path) => !this.#seen.some((one) => one.path === path));
      const used = this.#seen.filter(({ path }) => paths.includes(path));
      const volumes = [...used, ...unseen.map((path) => ({ path, slotBytes: 0, heads: [], fault: null }))];
      const mirrors = await this.#mirrors();
      const moment = this.#maker.next(status, systemClock.wallMs());
      this.#now = nowView(status, moment, { volumes, hanging }, this.#ages, mirrors, nowMs);
      this.#viewers.send(eventText('now', this.#now));
    } catch {
      // While the agent begins again there is nothing to show; the next second may have it.
    } finally {
      this.#isLooking = false;
    }
  }

  /** A volume that hangs is shown as it was last read: the rest of the page does not wait for it. */
  async #read(paths: readonly string[]): Promise<void> {
    const isFirst = this.#seen.length === 0;
    const volumes = await this.#looker.volumes(paths, () => this.#keys());
    if (volumes === null) return;
    this.#ages.note(volumes, systemClock.monotonicMs());
    const former = this.#seen.filter(({ path }) => !volumes.some((one) => one.path === path));
    this.#seen = [...volumes, ...former];
    if (isFirst) this.lookSoon();
  }

  async #mirrors(): Promise<Readonly<Record<string, unknown>>[]> {
    const sockets = this.#settings?.mirrors ?? [];
    return Promise.all(
      sockets.map(async (socket) =>
        ask(socket, { command: 'mirror-status' }, MIRROR_MS_MAX).catch((error: unknown) => ({
          name: socket,
          error: error instanceof Error ? error.message : String(error),
        })),
      ),
    );
  }
}

function withLevel(event: EventView): EventView {
  if (typeof event['level'] === 'string') return event;
  return { ...event, level: kindOf(event.kind as EventKind)?.level ?? 'info' };
}

function tokensOf({ cluster, node }: Settings, { tokenFile }: PageSettings): Tokens {
  const name = `stillbeat-${cluster}-${node}`;
  if (tokenFile === null) return new Tokens([], name);
  readKeyFile(tokenFile);
  const words = readFileSync(tokenFile, 'utf8').split('\n');
  return new Tokens(
    words.map((word) => word.trim()).filter((word) => word !== ''),
    name,
  );
}
