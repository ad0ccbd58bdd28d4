/** The page's document out of the status, the volumes' head blocks and the mirrors. Pure. */
import type { Moment } from '../view/figures.ts';
import type { StatusView } from '../view/status.ts';
import { verdict } from '../view/verdict.ts';
import type { CursorView, MirrorTargetView, MirrorView, NowView, PairView, RingView, VolumeView } from './document.ts';
import type { SeenHead, SeenVolume } from './look.ts';

const HANGS = 'it does not answer: these are its last words';

type Values = Readonly<Record<string, unknown>>;

/** Volumes as they were last read, and when each node's word was last a new one. */
export interface Seen {
  readonly volumes: readonly SeenVolume[];
  /** Those that do not answer now. */
  readonly hanging: ReadonlySet<string>;
}

/** When a node's head was last a new one, by our own clock: theirs need not agree. */
export class WordAges {
  readonly #marks = new Map<string, { word: string; atMs: number }>();

  note(volumes: readonly SeenVolume[], nowMs: number): void {
    for (const { node, incarnation, mark } of newestHeads(volumes).values()) {
      const word = `${incarnation} ${mark}`;
      if (this.#marks.get(node)?.word !== word) this.#marks.set(node, { word, atMs: nowMs });
    }
  }

  agoMs(node: string, nowMs: number): number {
    return Math.max(0, Math.round(nowMs - (this.#marks.get(node)?.atMs ?? nowMs)));
  }
}

/** Of a node that is on several volumes, the newest word. A copy of it may be behind. */
export function newestHeads(volumes: readonly SeenVolume[]): ReadonlyMap<string, SeenHead> {
  const newest = new Map<string, SeenHead>();
  for (const head of volumes.flatMap(({ heads }) => heads)) {
    if (head.incarnation !== '' && head.mark >= (newest.get(head.node)?.mark ?? 0)) newest.set(head.node, head);
  }
  return newest;
}

export function nowView(
  status: StatusView,
  moment: Moment,
  seen: Seen,
  ages: WordAges,
  mirrors: readonly Values[],
  nowMs: number,
): NowView {
  const { cluster, node, version, pid, vnic, primary, storage, peers, queues } = status;
  return {
    atMs: moment.atMs,
    verdict: verdict(status, moment),
    about: {
      cluster,
      node,
      version,
      pid,
      vnic: vnic.name,
      addresses: vnic.addresses,
      mode: primary.mode,
      primary: primary.interface,
      carrier: primary.carrier,
    },
    peers,
    storage: {
      available: storage.available,
      volume: storage.volume,
      lastWriteMs: storage.lastWriteMs,
      writeError: storage.writeError,
      copy: storage.copy,
    },
    queues,
    moment,
    pairs: pairsOf(status, seen.volumes, ages, nowMs),
    volumes: volumesOf(status, seen, ages, nowMs),
    mirrors: [...ownMirror(status), ...mirrors.map(mirrorOf)],
  };
}

/** Which way each node uses to each other: our own word, and what the others have written of theirs. */
function pairsOf(status: StatusView, volumes: readonly SeenVolume[], ages: WordAges, nowMs: number): PairView[] {
  const own = status.peers.map(({ node: to, path }): PairView => ({ from: status.node, to, path, agoMs: 0 }));
  const others = [...newestHeads(volumes).values()].filter(({ node }) => node !== status.node);
  const known = new Set([status.node, ...status.peers.map(({ node }) => node)]);
  return [
    ...own,
    ...others.flatMap(({ node: from, peers, state }) =>
      peers
        .filter(({ node }) => known.has(from) && known.has(node))
        .map(({ node: to, path }): PairView => {
          const isRunning = state === 'running';
          return { from, to, path: isRunning ? path : 'off', agoMs: ages.agoMs(from, nowMs) };
        }),
    ),
  ];
}

function volumesOf(status: StatusView, seen: Seen, ages: WordAges, nowMs: number): VolumeView[] {
  const newest = newestHeads(seen.volumes);
  return seen.volumes.map(({ path, slotBytes, heads, fault }): VolumeView => {
    const isRead = status.storage.receive.some(({ volume }) => volume === path);
    const isSend = status.storage.volume === path;
    return {
      path,
      use: isSend && isRead ? 'send and receive' : isSend ? 'send' : 'receive',
      slotBytes,
      rings: heads
        .filter(({ incarnation }) => incarnation !== '')
        .map((head) => ringOf(head, newest, ages.agoMs(head.node, nowMs))),
      fault: fault ?? (seen.hanging.has(path) ? HANGS : null),
    };
  });
}

/** The cursors of those that read this very incarnation; others have read something that is no more. */
function ringOf(head: SeenHead, newest: ReadonlyMap<string, SeenHead>, agoMs: number): RingView {
  const cursors = [...newest.values()].flatMap(({ node, peers, state }): CursorView[] => {
    if (node === head.node || state !== 'running') return [];
    const entry = peers.find((each) => each.node === head.node && each.incarnation === head.incarnation);
    return entry ? [{ node, readPosition: Math.max(entry.readPosition, head.startPosition) }] : [];
  });
  const behind = cursors.map(({ readPosition }) => Math.max(0, head.position - readPosition));
  return {
    node: head.node,
    state: head.state,
    position: head.position,
    unreadBytes: Math.max(0, ...behind),
    cursors,
    agoMs,
  };
}

const list = (value: unknown): readonly Values[] => (Array.isArray(value) ? (value as Values[]) : []);
const group = (value: unknown): Values => (typeof value === 'object' && value !== null ? (value as Values) : {});
const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null);

/** The agent's own copies by the built-in mirror: what goes out, and what comes in from each peer. */
function ownMirror({ node, storage: { copy } }: StatusView): MirrorView[] {
  if (copy.kind !== 'mirror') return [];
  const { targets, receives, mark } = copy.method;
  const out: MirrorView = {
    name: `${node} to its peers`,
    role: 'source',
    state: list(targets).every(({ state }) => state === 'in-sync') ? 'in-sync' : (copy.fault ?? 'replicating'),
    cut: numberOf(mark),
    canBeLost: null,
    targets: list(targets).map(({ node: name, state, durable, applied }) => ({
      name: String(name),
      state: String(state),
      received: numberOf(durable),
      applied: numberOf(applied),
      lag: {
        marks: Math.max(0, (numberOf(mark) ?? 0) - (numberOf(applied) ?? 0)),
        bytes: null,
        seconds: copy.lagMs / 1000,
      },
      outOfSyncBytes: null,
      resync: null,
    })),
    fault: copy.fault,
  };
  const into = list(receives).map(({ node: name, state, cut, linked }): MirrorView => ({
    name: `${String(name)} to ${node}`,
    role: 'target',
    state: String(state),
    cut: numberOf(cut),
    canBeLost: null,
    targets: [],
    fault: linked === true ? null : 'the source is not there',
  }));
  return [out, ...into];
}

/** A mirror's own status, or its `error`. */
function mirrorOf(document: Values): MirrorView {
  const { error, name, group: its, role, state, cut, canBeLost, targets } = document;
  return {
    name: typeof its === 'string' ? its : String(name),
    role: typeof role === 'string' ? role : 'mirror',
    state: typeof state === 'string' ? state : 'not answering',
    cut: numberOf(cut),
    canBeLost: typeof canBeLost === 'string' ? canBeLost : null,
    targets: list(targets).map((target): MirrorTargetView => {
      const lag = group(target['lag']);
      const resync = group(target['resync']);
      return {
        name: String(target['name']),
        state: String(target['state']),
        received: numberOf(target['received']),
        applied: numberOf(target['applied']),
        lag: { marks: Number(lag['marks'] ?? 0), bytes: numberOf(lag['bytes']), seconds: Number(lag['seconds'] ?? 0) },
        outOfSyncBytes: numberOf(target['outOfSyncBytes']),
        resync:
          typeof resync['total'] === 'number'
            ? {
                done: Number(resync['done'] ?? 0),
                total: resync['total'],
                secondsLeft: numberOf(resync['secondsLeft']),
              }
            : null,
      };
    }),
    fault: typeof error === 'string' ? error : null,
  };
}
