/**
 * The target takes over from a source that died, was cut off, or gave up its role; the old source comes back. Real processes, real
 * clients, as an operator does it.
 */
import { renameSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { fileLog } from '../../agent/mirror/log/log-file.ts';
import { readRecords } from '../../agent/mirror/log/slots.ts';
import { eventually } from '../support/cluster.ts';
import { fioLoad, fioVerify, fioWrite } from '../support/fio.ts';
import { MirrorPair, type PairOptions, type Side } from '../support/mirror-pair.ts';
import { NbdClient } from '../support/nbd-client.ts';
import { HISTORY_BYTES, WriteHistory } from '../support/write-history.ts';

const MIB = 1 << 20;
const SOON_MS = 60_000;
const pairs: MirrorPair[] = [];
afterEach(async () => {
  for (const pair of pairs.splice(0)) await pair.remove();
});

async function started(options: Partial<PairOptions> = {}): Promise<MirrorPair> {
  const pair = await MirrorPair.make({ volumeBytes: HISTORY_BYTES, journalSize: '8M', ...options });
  pairs.push(pair);
  pair.start('target');
  pair.start('source');
  await pair.untilInSync();
  return pair;
}

const clientOf = async (pair: MirrorPair, side: Side): Promise<NbdClient> =>
  eventually(`the ${side} serves`, SOON_MS, async () => NbdClient.open(pair.socket(side), 'data').catch(() => null));

/** Writes for some time, then does `end`, and waits for the writer. */
async function writeUntil(
  pair: MirrorPair,
  side: Side,
  history: WriteHistory,
  end: () => Promise<unknown>,
): Promise<void> {
  const writer = await clientOf(pair, side);
  const before = history.acked;
  let isOver = false;
  const writing = history.write(writer, () => isOver);
  await eventually('writes are answered', SOON_MS, () => history.acked > before + 60);
  await end();
  isOver = true;
  await writing;
  writer.close();
}

async function content(pair: MirrorPair, side: Side): Promise<Buffer> {
  const reader = await clientOf(pair, side);
  const bytes = await reader.read(0, HISTORY_BYTES);
  reader.close();
  return bytes;
}

const standing = async (pair: MirrorPair, side: Side): Promise<Readonly<Record<string, unknown>>> =>
  (await pair.status(side))['succession'] as Readonly<Record<string, unknown>>;

const refusal = async (done: Promise<unknown>): Promise<string> =>
  done.then(
    () => 'it was not refused',
    (error: Error) => error.message,
  );

describe('takeover', () => {
  test('[I3] after the death of the source every write that sync answered is served by the target, and it takes new ones', async () => {
    const pair = await started({ acknowledge: 'sync', withLog: true });
    const history = new WriteHistory(3);
    await writeUntil(pair, 'source', history, async () => pair.end('source', 'SIGKILL'));
    expect(history.acked).toBeGreaterThan(50);
    const said = await pair.command('target', 'takeover');
    expect(said).toMatch(/role +source\ngeneration +[0-9a-f]{32}, begun behind mark \d+/);
    const shown = history.cutOf(await content(pair, 'target'), 'the target');
    expect(shown).toBeGreaterThanOrEqual(history.acked);
    history.forgetBehind(shown);
    await writeUntil(pair, 'target', history, async () => pair.end('target', 'SIGKILL'));
    // What it has become is what it is.
    pair.start('target');
    expect(history.cutOf(await content(pair, 'target'), 'started again')).toBeGreaterThanOrEqual(history.acked);
    expect(await pair.status('target')).toMatchObject({ role: 'source' });
  });

  test('[I3] under fio: the source dies while fio writes, and all that was answered is at the target, which takes what fio writes next', async () => {
    const pair = await started({ acknowledge: 'sync', withLog: true, volumeBytes: 8 * MIB });
    const whole = { uri: pair.uri('source'), seed: 31, offset: 4 * MIB, size: 4 * MIB, depth: 16 };
    await fioWrite(whole);
    const load = fioLoad({ ...whole, seed: 32, offset: 2 * MIB, size: 2 * MIB, depth: 32 });
    const history = new WriteHistory(31);
    await writeUntil(pair, 'source', history, async () => pair.end('source', 'SIGKILL'));
    await load.end();
    expect(history.acked).toBeGreaterThan(20);
    expect(await pair.command('target', 'takeover')).not.toMatch(/may be lost/);
    const shown = history.cutOf((await content(pair, 'target')).subarray(0, HISTORY_BYTES), 'the target');
    expect(shown).toBeGreaterThanOrEqual(history.acked);
    await fioVerify({ ...whole, uri: pair.uri('target') });
    const next = { ...whole, uri: pair.uri('target'), seed: 33 };
    await fioWrite(next);
    await fioVerify(next);
  });

  test('[I21] refused while nobody could tell whether the source went on alone, and while the source is there', async () => {
    const pair = await started({ acknowledge: 'sync' });
    const both = await refusal(pair.command('target', 'takeover'));
    expect(both).toMatch(/its source is connected.*may have gone on without this copy.*--force/);
    await pair.end('source', 'SIGKILL');
    expect(await refusal(pair.command('target', 'takeover'))).toMatch(/may have gone on without this copy/);
    expect(await pair.status('target')).toMatchObject({ role: 'target', state: 'consistent' });
    expect(await pair.command('target', 'takeover', '--force')).toMatch(/may be lost the source may have gone on/);
  });

  test('[I21] [MI14] the log device says it before anybody is answered alone, and no more once the target is in sync again', async () => {
    const pair = await started({ acknowledge: 'sync', withLog: true, withRelay: true });
    const writer = await clientOf(pair, 'source');
    await pair.end('target', 'SIGKILL');
    renameSync(pair.logDevice, `${pair.logDevice}.away`);
    let isAnswered = false;
    const alone = writer.write(0, new Uint8Array(4096).fill(1)).then(() => (isAnswered = true));
    // Longer than a target has to be met after a start.
    await delay(2000);
    expect(isAnswered).toBe(false);
    renameSync(`${pair.logDevice}.away`, pair.logDevice);
    await alone;
    // What it lacks is not there yet when it is asked.
    pair.cutLink();
    pair.start('target');
    await eventually('the target runs', SOON_MS, async () => (await pair.status('target'))['role'] === 'target');
    expect(await refusal(pair.command('target', 'takeover'))).toMatch(/went on without this copy from mark \d+ on/);
    pair.mendLink();
    await pair.untilInSync();
    writer.close();
    await eventually('the mark is gone', SOON_MS, async () => {
      const [record] = await readRecords(fileLog(pair.logDevice), [0]);
      return record?.targets[0]?.outdatedSince === null;
    });
    await pair.end('source', 'SIGKILL');
    const said = await pair.command('target', 'takeover');
    expect(said).not.toMatch(/may be lost/);
    expect((await content(pair, 'target'))[0]).toBe(1);
  });

  test('killed at any moment of a takeover, it is a target as before, or a source with all that was answered', async () => {
    const pair = await started({ acknowledge: 'sync' });
    const history = new WriteHistory(5);
    const found = new Set<unknown>();
    for (const afterMs of [0, 2, 5, 10, 20, 40]) {
      await writeUntil(pair, 'source', history, async () => pair.end('source', 'SIGKILL'));
      const asked = pair.ask('target', { command: 'mirror-takeover', force: true }).catch(() => null);
      await delay(afterMs);
      await pair.end('target', 'SIGKILL');
      await asked;
      pair.start('target');
      const { role } = await eventually('it runs again', SOON_MS, async () => {
        const status = await pair.status('target');
        return status['role'] === undefined ? null : status;
      });
      found.add(role);
      const shown = history.cutOf(await content(pair, 'target'), `killed after ${afterMs} ms`);
      if (role === 'source') {
        expect(shown).toBeGreaterThanOrEqual(history.acked);
        break;
      }
      pair.start('source');
      history.forgetBehind(history.cutOf(await content(pair, 'source'), 'the source'));
      await pair.untilInSync();
    }
    expect([...found]).toContain('source');
  });
});

describe('an old source', () => {
  test('[I21] that is cut off while another takes over answers nobody any more, and comes back with what it alone holds', async () => {
    const pair = await started({ acknowledge: 'sync', withLog: true, withRelay: true });
    pair.cutLink();
    await eventually('the link is lost', SOON_MS, async () => (await pair.seen())?.state === 'journaling');
    const taken = await eventually('it takes over', SOON_MS, async () => pair.command('target', 'takeover'));
    expect(taken).not.toMatch(/may be lost/);
    const writer = await clientOf(pair, 'source');
    const answer = writer.write(0, new Uint8Array(4096).fill(1)).then(
      () => 'answered',
      () => 'failed',
    );
    const claimed = async (): Promise<boolean> => /claims the role behind mark/.test(pair.log('source'));
    await eventually('it sees the claim', SOON_MS, claimed);
    pair.mendLink();
    expect(await answer).toBe('failed');
    writer.close();
    expect(await standing(pair, 'source')).toMatchObject({ standing: 'overtaken' });
    expect(await refusal(pair.command('source', 'failback'))).toMatch(/1 writes \(4096 bytes\)/);
  });

  /** The link is cut, the target takes over, and both are written to. */
  async function parted(): Promise<{ readonly pair: MirrorPair; readonly history: WriteHistory }> {
    const pair = await started({ acknowledge: 'local', withRelay: true });
    const history = new WriteHistory(7);
    await writeUntil(pair, 'source', history, async () => pair.untilInSync());
    // Answered by the source alone: the last ones may still be on their way.
    await eventually('the target has all', SOON_MS, async () => {
      const { marks } = (await pair.status('source')) as unknown as { readonly marks: { readonly admitted: number } };
      return ((await pair.seen())?.durable ?? 0) >= marks.admitted;
    });
    pair.cutLink();
    await eventually('the link is lost', SOON_MS, async () => (await pair.seen())?.state === 'journaling');
    await pair.command('target', 'takeover', '--force');
    const left = await clientOf(pair, 'source');
    await left.write(0, new Uint8Array(8192).fill(0xaa));
    left.close();
    const taken = await clientOf(pair, 'target');
    await taken.write(HISTORY_BYTES - 4096, new Uint8Array(4096).fill(0xbb));
    taken.close();
    return { pair, history };
  }

  test('[MI13] [CY6] that comes back is told, serves no writes, names what it alone holds, and becomes a target', async () => {
    const { pair } = await parted();
    pair.mendLink();
    await eventually('it is told', SOON_MS, async () => (await standing(pair, 'source'))['standing'] === 'overtaken');
    const { rival, beyond } = await standing(pair, 'source');
    expect(rival).toBe((await pair.status('target'))['generation']);
    expect(beyond).toBeGreaterThan(0);
    const writer = await clientOf(pair, 'source');
    await expect(writer.write(0, new Uint8Array(4096))).rejects.toThrow();
    writer.close();
    // It stays so when it is started again.
    await pair.end('source', 'SIGKILL');
    pair.start('source');
    const again = await clientOf(pair, 'source');
    await expect(again.write(0, new Uint8Array(4096))).rejects.toThrow();
    again.close();
    expect(await pair.command('source', 'status')).toMatch(
      /, overtaken\n.*\nstanding +generation .* marks \d+ to \d+ are here alone; .* say stillbeat mirror failback\nanswers +no writes any more\n/,
    );
    expect(await refusal(pair.command('source', 'failback'))).toMatch(
      /1 writes \(8192 bytes\) in marks .* are here alone/,
    );
    expect(await pair.command('source', 'failback', '--discard')).toMatch(/role +target\ngiven up +1 writes, 8.0 KiB/);
    await pair.untilInSync('target');
    await eventually('both are equal', SOON_MS, () => pair.content('source').equals(pair.content('target')));
    expect(pair.content('source')[0]).not.toBe(0xaa);
    expect(pair.content('source').at(-1)).toBe(0xbb);
    // What was written beyond the branch, on either side, and no more.
    expect(pair.log('target')).toMatch(/"how":"bitmap"/);
  });

  test('[MI13] that begins a generation of its own makes split brain: refused, named, resolved by who is told to give up', async () => {
    const { pair } = await parted();
    pair.mendLink();
    await eventually('it is told', SOON_MS, async () => (await standing(pair, 'source'))['standing'] === 'overtaken');
    expect(await refusal(pair.command('source', 'takeover'))).toMatch(/would be given up.*takeover --force/);
    await pair.command('source', 'takeover', '--force');
    for (const side of ['source', 'target'] as const) {
      await eventually(
        `the ${side} knows`,
        SOON_MS,
        async () => (await standing(pair, side))['standing'] === 'split-brain',
      );
      const { reason } = await standing(pair, side);
      const generations = [(await pair.status('source'))['generation'], (await pair.status('target'))['generation']];
      for (const generation of generations) expect(reason).toContain(String(generation).slice(0, 8));
      expect(await pair.command(side, 'status')).toMatch(
        /\nstanding {4}split brain: .* failback --discard\nanswers {5}\w+: can/,
      );
      expect(reason).toMatch(/^split brain: .*marks \d+ to \d+\) here and .*marks \d+ to \d+\) there/);
    }
    expect(await refusal(pair.command('target', 'failback'))).toMatch(/1 writes \(4096 bytes\)/);
    await pair.command('target', 'failback', '--discard');
    await pair.untilInSync('source');
    await eventually('both are equal', SOON_MS, () => pair.content('source').equals(pair.content('target')));
    expect(pair.content('target')[0]).toBe(0xaa);
    expect(pair.content('target').at(-1)).not.toBe(0xbb);
    // Who gave up the last side as well would have nothing.
    expect((await standing(pair, 'source'))['standing']).toBe('source');
    expect(await refusal(pair.command('source', 'failback', '--discard'))).toMatch(/no other side has taken over/);
  });
});

describe('roles turned round', () => {
  test('in order, there and back: no write is lost, and nothing is copied', async () => {
    const pair = await started({ acknowledge: 'local' });
    const history = new WriteHistory(9);
    const turn = async (from: Side, to: Side): Promise<void> => {
      await writeUntil(pair, from, history, async () => pair.command(from, 'handover'));
      expect(await pair.command(to, 'takeover')).not.toMatch(/may be lost/);
      const shown = history.cutOf(await content(pair, to), `the ${to}`);
      expect(shown).toBeGreaterThanOrEqual(history.acked);
      history.forgetBehind(shown);
      await pair.command(from, 'failback');
      await pair.untilInSync(to);
      expect(pair.log(to)).toMatch(/"how":"replay"/);
      expect(pair.log(to).split('takeover').at(-1)).not.toMatch(/"how":"scan"/);
    };
    await turn('source', 'target');
    await turn('target', 'source');
    await eventually('both are equal', SOON_MS, () => pair.content('source').equals(pair.content('target')));
  });
});
