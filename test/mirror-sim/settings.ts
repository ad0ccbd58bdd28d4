/** What a seed makes of sizes, policies and load. */
import type { Prng } from '../../agent/base/prng.ts';
import type { Acknowledge } from '../../agent/mirror/core/replies.ts';
import { CHECKSUMS, type Checksum } from '../../agent/mirror/scan/digest.ts';
import type {
  CheckpointOptions,
  MirrorSourceSettings,
  MirrorTargetSettings,
  ScrubSettings,
} from '../../agent/settings/mirror.ts';
import type { RingSize } from '../../agent/mirror/store/ring.ts';

export interface SimSettings {
  readonly targets: number;
  readonly volumeBytes: readonly number[];
  readonly sourceRing: RingSize;
  readonly targetRing: RingSize;
  readonly acknowledge: Acknowledge;
  readonly checksum: Checksum;
  readonly cycles: { readonly cycleMs: number; readonly bytes: number };
  readonly inquiry: { readonly intervalMs: number; readonly misses: number };
  readonly overflow: { readonly afterMs: number; readonly policy: 'degrade' | 'strict' };
  /** Of each site, to it as a target. */
  readonly connections: readonly number[];
  /** 0: as much as the link takes. */
  readonly bytesPerSecond: number;
  readonly checkpoint: CheckpointOptions | null;
  readonly scrub: ScrubSettings;
  readonly clients: number;
  /** Mean ms between an answer and the next request. */
  readonly thinkMs: number;
  readonly payloadMax: number;
  /** Of a hundred writes so many go to a few places. */
  readonly hotPercent: number;
  /** Of a hundred requests so many are flushes. */
  readonly flushPercent: number;
  /** There is a log device. */
  readonly hasLog: boolean;
  /** Operators take over, hand over and fail back. */
  readonly hasOperators: boolean;
  /** Volumes and arrival journals lie, and targets are put back to older states. */
  readonly hasLies: boolean;
}

export const GROUP = 'group';
export const siteName = (index: number): string => (index === 0 ? 's' : `t${index - 1}`);

const KIB = 1024;

export function drawSettings(prng: Prng): SimSettings {
  const volumes = prng.pick([1, 2, 2, 3]);
  const hasOperators = prng.chance(1, 3);
  const ring = (windowBytes: number, most: readonly number[]): RingSize => ({
    ringBytes: windowBytes * prng.pick(most),
    windowBytes,
  });
  // An image of a whole volume must fit into half of a window.
  const targetRing = ring(256 * KIB, [1, 1, 2]);
  return {
    targets: prng.pick([1, 1, 2]),
    // Odd ones too: the last block and the last sector are short.
    volumeBytes: Array.from({ length: volumes }, () => prng.pick([16, 48, 96]) * KIB + prng.pick([0, 0, 512, 100])),
    // Who may become a target needs as much.
    sourceRing: hasOperators ? targetRing : ring(prng.pick([32, 64, 64]) * KIB, [2, 4, 8]),
    targetRing,
    acknowledge: prng.pick(['sync', 'sync', 'receipt', 'local', 'cycle']),
    checksum: prng.chance(1, 8) ? prng.pick(CHECKSUMS) : 'crc32',
    cycles: { cycleMs: prng.pick([20, 50, 200]), bytes: prng.pick([8, 64]) * KIB },
    inquiry: { intervalMs: prng.pick([50, 200]), misses: prng.pick([3, 5]) },
    overflow: { afterMs: prng.pick([50, 500]), policy: prng.chance(1, 6) ? 'strict' : 'degrade' },
    bytesPerSecond: prng.chance(1, 8) ? 1_000_000 : 0,
    checkpoint: prng.chance(1, 3)
      ? null
      : {
          by: prng.chance(3, 4) ? 'references' : 'data',
          everyCycles: prng.pick([0, 1, 4]),
          ms: prng.pick([20, 100]),
          onFlush: prng.chance(1, 4),
        },
    // Once in some hundred ms.
    scrub: { everyHours: prng.chance(1, 4) ? 1 / 9000 : 0, bytesPerSecond: 0, idleMs: prng.pick([0, 5]) },
    connections: [prng.between(1, 4), prng.between(1, 4), prng.between(1, 4)],
    clients: prng.between(1, 3),
    thinkMs: prng.pick([3, 8, 20, 60]),
    payloadMax: prng.pick([2000, 6000, 14_000]),
    hotPercent: prng.pick([0, 30, 90]),
    flushPercent: prng.pick([6, 6, 6, 60]),
    hasLog: prng.chance(1, 2),
    hasOperators,
    // Who takes over must not be one that lies.
    hasLies: !hasOperators && prng.chance(1, 3),
  };
}

/** What a site's settings file says: the first is made to be the source, each may become what the others are. */
export function siteSettings(index: number, settings: SimSettings): MirrorSourceSettings | MirrorTargetSettings {
  const { acknowledge, checksum, cycles, inquiry, overflow, bytesPerSecond, checkpoint, scrub, hasLog } = settings;
  const { sourceRing, targetRing, volumeBytes, targets, connections } = settings;
  const addressOf = (site: number) => ({ name: siteName(site), address: { host: siteName(site), port: 1 } });
  const others = Array.from({ length: targets + 1 }, (_, site) => site).filter((site) => site !== index);
  const asSource = {
    targets: others.map((site) => ({ ...addressOf(site), connections: connections[site] ?? 1 })),
    acknowledge,
    checksum,
    cycles,
    checkpoint,
    limits: { bytesPerSecond },
    inquiry,
    overflow,
    recorders: [],
    scrub,
  };
  const common = {
    file: 'sim',
    group: GROUP,
    keyFile: 'key',
    journal: { path: 'journal', ...(index === 0 ? sourceRing : targetRing) },
    volumes: volumeBytes.map((bytes, i) => ({ name: `v${i}`, path: `volume-${i}`, bytes })),
    controlSocket: 'control',
    log: hasLog ? { path: 'log', records: null } : null,
    metricsListen: null,
    exportKeyFile: null,
    listen: { path: 'export' },
    history: null,
  };
  if (index === 0) return { ...common, ...asSource, role: 'source', failback: addressOf(index) };
  return { ...common, ...addressOf(index), role: 'target', takeover: asSource };
}
