/** Figures of a resync: a volume of which one block in a hundred differs, brought up beside rsync; and the same by a bitmap. */
import { closeSync, copyFileSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { randomFillSync } from 'node:crypto';
import { AgentError } from '../base/errors.ts';
import { Prng } from '../base/prng.ts';
import { tool } from '../demo/shell.ts';
import { atMost, type Figure } from './figure.ts';
import { fio } from './fio.ts';
import { BenchPair } from './mirror-pair.ts';
import { median } from './mirror-rounds.ts';
import { RsyncDaemon } from './mirror-peers.ts';

const BLOCK_BYTES = 4096;

interface Round {
  readonly ours: number;
  readonly theirs: number;
  readonly bitmap: number;
}

export async function resyncFigures(
  folder: string,
  volumeBytes: number,
  rounds: number,
  say: (line: string) => void,
): Promise<Figure[]> {
  const volumes = { whole: join(folder, 'whole'), changed: join(folder, 'changed') };
  writeRandom(volumes.whole, volumeBytes);
  copyFileSync(volumes.whole, volumes.changed);
  changeBlocks(volumes.changed, volumeBytes);
  const daemon = await RsyncDaemon.start(join(folder, 'rsync'));
  const samples: Round[] = [];
  try {
    say(`resync, 1 % of ${volumeBytes >>> 20} MiB: ${rounds} rounds, then one that is counted`);
    for (let round = 0; round < rounds; round++) {
      const firstOurs = round % 2 === 0;
      const before = firstOurs ? await ours(folder, volumes, volumeBytes) : null;
      const theirs = await rsync(daemon, volumes, false);
      const after = before ?? (await ours(folder, volumes, volumeBytes));
      samples.push({ ...after, theirs: theirs.ms });
    }
    const counted = await oursCounted(folder, volumes, volumeBytes);
    const peer = await rsync(daemon, volumes, true);
    const scan = median(samples.map((sample) => sample.ours));
    const ratio = median(samples.map((sample) => sample.ours / sample.theirs));
    const bitmap = median(samples.map((sample) => sample.bitmap / sample.ours));
    return [
      atMost('resync by a scan: time, beside rsync', 'ms', scan, scan / ratio, 0.9),
      atMost('resync by a scan: bytes on the wire, beside rsync', 'MB', counted / 1e6, peer.bytes / 1e6, 0.85),
      atMost('resync by a bitmap: time, beside the scan', 'ms', scan * bitmap, scan, 0.2),
    ];
  } finally {
    await daemon.end();
  }
}

interface Volumes {
  readonly whole: string;
  readonly changed: string;
}

/** A scan, then what was written while the target was away comes by its bitmap: ms each. */
async function ours(folder: string, volumes: Volumes, volumeBytes: number): Promise<Omit<Round, 'theirs'>> {
  const at = join(folder, 'ours');
  // As small as it may be: what is written while the target is away is more than it holds.
  const sourceJournal = { size: '4M', window: '1M' };
  const source = { acknowledge: 'local', overflow: { afterMs: 100, policy: 'degrade' } };
  const pair = await BenchPair.make(at, { volumeBytes, sourceJournal, source });
  try {
    copyFileSync(volumes.whole, pair.volume.source);
    copyFileSync(volumes.changed, pair.volume.target);
    await pair.start('target');
    await pair.start('source');
    const scan = await pair.resyncMs();
    await pair.kill('target');
    await pair.until('the loss is seen', ({ state }) => state !== 'in-sync');
    const writes = Math.ceil(volumeBytes / BLOCK_BYTES / 100);
    await fio(pair.uri, volumeBytes, ['--rw=randwrite', '--bs=4k', '--iodepth=16', `--number_ios=${writes}`], null);
    await pair.until('its bitmap is in use', ({ state }) => state === 'bitmap');
    await pair.start('target');
    const bitmap = await pair.resyncMs();
    return { ours: scan, bitmap };
  } finally {
    await pair.end();
    rmSync(at, { recursive: true });
  }
}

async function oursCounted(folder: string, volumes: Volumes, volumeBytes: number): Promise<number> {
  const at = join(folder, 'counted');
  const pair = await BenchPair.make(at, { volumeBytes, isCounted: true });
  try {
    copyFileSync(volumes.whole, pair.volume.source);
    copyFileSync(volumes.changed, pair.volume.target);
    await pair.start('target');
    await pair.start('source');
    await pair.untilInSync();
    const bytes = (pair.wire?.sentBytes ?? 0) + (pair.wire?.receivedBytes ?? 0);
    await tool(['cmp', pair.volume.source, pair.volume.target], { timeoutMs: 60_000 });
    return bytes;
  } finally {
    await pair.end();
    rmSync(at, { recursive: true });
  }
}

async function rsync(daemon: RsyncDaemon, volumes: Volumes, isCounted: boolean) {
  copyFileSync(volumes.changed, join(daemon.folder, 'whole'));
  return daemon.copy(volumes.whole, isCounted);
}

function writeRandom(path: string, bytes: number): void {
  const piece = new Uint8Array(1 << 20);
  const fd = openSync(path, 'w');
  try {
    for (let at = 0; at < bytes; at += piece.length) writeSync(fd, randomFillSync(piece), 0, piece.length, at);
  } finally {
    closeSync(fd);
  }
}

/** One block in a hundred, anywhere. */
function changeBlocks(path: string, bytes: number): void {
  const prng = new Prng(1);
  const fd = openSync(path, 'r+');
  const blocks = bytes / BLOCK_BYTES;
  try {
    for (let i = 0; i < blocks / 100; i++) {
      const content = randomFillSync(new Uint8Array(BLOCK_BYTES));
      if (writeSync(fd, content, 0, BLOCK_BYTES, prng.below(blocks) * BLOCK_BYTES) !== BLOCK_BYTES) {
        throw new AgentError('failed', `${path} takes nothing`);
      }
    }
  } finally {
    closeSync(fd);
  }
}
