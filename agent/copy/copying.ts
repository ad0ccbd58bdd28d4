/**
 * How the send volume becomes the peers' receive volume: one method of the four, kept going, judged against the time that the
 * settings give it, and waited for by `stillbeat copy`. It begins before the agent's own threads do, for they read what the
 * peers' copies bring, and ends behind them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError, assert } from '../base/errors.ts';
import type { MirrorWrite } from '../flush/mirrored-disk.ts';
import { systemClock } from '../platform/clock.ts';
import { type CopyPoint, CopyState, hasCopied } from '../queue/copy-state.ts';
import type { Settings } from '../settings/settings.ts';
import type { VolumeFacts } from '../threads.ts';
import { CommandCopy } from './command-copy.ts';
import { type CopyMethod, type MethodEvent, SharedCopy } from './method.ts';
import { ThreadCopy } from './thread-copy.ts';
import { type CopyNews, CopyWatch } from './watch.ts';

export type CopyEvent =
  | (MethodEvent & { readonly copy: string })
  | (CopyNews & { readonly copy: string; readonly reason: string; readonly mend?: string })
  | { readonly kind: 'copy-waits'; readonly volume: string; readonly peer: string };

export interface CopySource {
  readonly send: VolumeFacts;
  readonly volumeBytes: number;
}

/** `position` is readable after so long, or why it is not. */
export type CopyResult =
  | { readonly ok: true; readonly position: number; readonly afterMs: number }
  | { readonly ok: false; readonly position: number; readonly reason: string };

const LOOK_MS = 100;
const POLL_MS = 2;

export class Copying {
  readonly #settings: Settings;
  readonly #state: CopyState;
  readonly #method: CopyMethod;
  readonly #watch: CopyWatch;
  readonly #tell: (event: CopyEvent) => void;
  readonly #timer: NodeJS.Timeout;
  readonly #ringBytes: number;
  /** A part of the copy died that cannot be started again: the agent ends. */
  readonly died: Promise<AgentError>;

  private constructor(
    settings: Settings,
    state: CopyState,
    method: CopyMethod,
    ringBytes: number,
    died: Promise<AgentError>,
    tell: (event: CopyEvent) => void,
  ) {
    this.died = died;
    this.#settings = settings;
    this.#state = state;
    this.#method = method;
    this.#ringBytes = ringBytes;
    this.#tell = tell;
    this.#watch = new CopyWatch({ withinMs: settings.storage.copyWithinMs, ringBytes });
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  /** Throws an AgentError when this copy must not be made. */
  static async open(
    settings: Settings,
    source: CopySource,
    memory: SharedArrayBuffer,
    tell: (event: CopyEvent) => void,
  ): Promise<Copying> {
    const state = new CopyState(memory);
    const told = (event: MethodEvent) => tell({ ...event, copy: settings.storage.copy });
    let die: (error: AgentError) => void = () => {};
    const died = new Promise<AgentError>((resolve) => (die = resolve));
    const fatal = (error: Error): void => die(new AgentError('died', `the mirror died: ${error.message}`));
    const method = await openMethod(settings, source, memory, { tell: told, fatal });
    const copying = new Copying(settings, state, method, source.send.slotBytes, died, tell);
    copying.#look();
    return copying;
  }

  /** The agent begins to write at this ring position. */
  begin(position: number): void {
    this.#state.begin(position);
  }

  /** Whether what this peer writes has come here as a whole, as far as this end can tell. */
  hasCopyOf(peer: string): boolean {
    return this.#method.hasCopyOf?.(peer) ?? true;
  }

  /** With a mirror: what the flush thread writes. */
  write(write: MirrorWrite): void {
    this.#method.write?.(write);
  }

  get written(): CopyPoint {
    return this.#state.written;
  }

  /**
   * Until the copy has everything up to a ring position, or the deadline. `position` null: everything that is written now,
   * the head block too.
   */
  async copyNow(position: number | null, deadlineMs: number): Promise<CopyResult> {
    const { written } = this;
    const wanted = position === null ? written : { position, heads: this.#method.copied.heads };
    const beganMs = systemClock.monotonicMs();
    let made: string | null | undefined;
    void this.#method.copyNow().then((fault) => (made = fault));
    for (;;) {
      const afterMs = systemClock.monotonicMs() - beganMs;
      if (typeof made === 'string') return { ok: false, position: wanted.position, reason: made };
      // Without a position a copy is asked for, also when nothing new was written since the last one.
      const isMade = position !== null || made === null;
      if (isMade && hasCopied(this.#method.copied, wanted)) return { ok: true, position: wanted.position, afterMs };
      if (afterMs >= deadlineMs) return { ok: false, position: wanted.position, reason: this.#missText(deadlineMs) };
      await delay(POLL_MS);
    }
  }

  #missText(deadlineMs: number): string {
    const { fault, copied } = this.#method;
    const far = `the copy has everything before ${copied.position}`;
    return `not within ${Math.round(deadlineMs)} ms: ${fault ?? far}`;
  }

  /** For the status document. */
  get document(): Readonly<Record<string, unknown>> {
    const watch = this.#watch;
    const { copied, fault, figures } = this.#method;
    const { copy: kind, copyWithinMs } = this.#settings.storage;
    const isShared = kind === 'shared';
    return {
      kind,
      position: this.#state.written.position,
      copied: copied.position,
      lagBytes: isShared ? 0 : Math.max(0, this.#state.written.position - copied.position),
      lagMs: isShared ? 0 : Math.round(watch.lagMs),
      withinMs: isShared ? null : copyWithinMs,
      late: watch.isLate,
      misses: watch.misses,
      fault,
      ringBytes: this.#ringBytes,
      ringNeededBytes: isShared ? 0 : Math.round(watch.neededBytes),
      ringShort: !isShared && watch.isRingShort,
      method: isShared ? null : figures,
    };
  }

  /** Behind the last write: what is left is copied where that can be done soon. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#method.close();
  }

  #look(): void {
    const nowMs = systemClock.monotonicMs();
    this.#method.look(nowMs);
    const { copy, command } = this.#settings.storage;
    // What is copied on command alone is behind as long as nobody commands.
    if (copy === 'shared' || command?.onCommand === true) return;
    for (const news of this.#watch.look(nowMs, this.#state.written, this.#method.copied)) {
      this.#tell({ ...news, copy, ...this.#words(news) });
    }
  }

  #words({ kind }: CopyNews): { readonly reason: string; readonly mend?: string } {
    const { copyWithinMs } = this.#settings.storage;
    if (kind === 'copy-caught-up') return { reason: 'the copy has caught up' };
    if (kind === 'copy-late') {
      const { fault } = this.#method;
      return { reason: fault ?? `what was written is not on the copy within ${copyWithinMs} ms` };
    }
    return {
      reason: 'the ring is short for this rate and lag: packets may wait for the copy',
      mend: 'format the volume larger or with fewer slots, set storage.limits.bytesPerSecond, or make the copy quicker',
    };
  }
}

async function openMethod(
  settings: Settings,
  { send, volumeBytes }: CopySource,
  memory: SharedArrayBuffer,
  { tell, fatal }: { readonly tell: (event: MethodEvent) => void; readonly fatal: (error: Error) => void },
): Promise<CopyMethod> {
  const state = new CopyState(memory);
  const { copy, localVolume, command, writeDeadlineMs: deadlineMs } = settings.storage;
  if (copy === 'local') {
    assert(localVolume !== null, 'settings with copy: local name a volume');
    const sent = { path: send.path, identity: send.device, cluster: settings.cluster, volumeBytes };
    return ThreadCopy.open({ data: { send, sent, target: localVolume, memory }, state, deadlineMs, tell });
  }
  if (copy === 'command') {
    assert(command !== null, 'settings with copy: command name one');
    const { cluster, node } = settings;
    const environment = { STILLBEAT_CLUSTER: cluster, STILLBEAT_NODE: node, STILLBEAT_SEND: send.path };
    return new CommandCopy({ command, environment, state, tell });
  }
  if (copy === 'mirror') {
    // The replicator is larger than the rest of the agent: it is loaded where it is used.
    const { MirrorCopy } = await import('./mirror-copy.ts');
    return MirrorCopy.open({ settings, state, volumeBytes, tell, fatal });
  }
  return new SharedCopy(state);
}
