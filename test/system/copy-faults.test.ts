/**
 * [AG6] [AG8] [AG9] Copies that go wrong, on the real program: a volume that hangs or fails while the agent writes on, a program
 * that fails or takes too long, a volume that must not be copied to, and a receive volume to which nothing was copied yet.
 */
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { tcpTransfer } from '../../agent/demo/workload.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';
import { copiedCluster, type CopiedCluster, copyOf } from '../support/copied-cluster.ts';
import { EIO, FaultDisk } from '../support/fault-disk.ts';

describe('copy: local', () => {
  let copied: CopiedCluster;
  /** a's way to what it copies to. */
  let target: FaultDisk;
  beforeAll(async () => {
    copied = await copiedCluster('local');
    const { lab } = copied.cluster;
    target = await FaultDisk.over(lab, copied.volumes.get('a')?.receiveFile ?? '');
  });
  afterEach(async () => target?.heal());
  afterAll(async () => {
    await target?.heal();
    await Promise.all(['a', 'b'].map(async (node) => copied?.cluster.lab.stopAgent(node)));
    await target?.close();
    await copied?.cluster.close();
  });
  const overA = () => copied.settings('a', { storage: { local: { volume: target.path } } });

  test('[AG6] a volume that holds something else is refused in one line, and left as it is', async () => {
    const { lab } = copied.cluster;
    const descriptor = openSync(target.file, 'r+');
    writeSync(descriptor, Buffer.from([1]), 0, 1, 1080);
    await expect(lab.startAgent('a', overA())).rejects.toThrow(
      new RegExp(
        `ended \\(3\\).*volume ${target.path}, which the send volume is copied to, holds something else: name another one`,
      ),
    );
    const check = await lab.stillbeat('a', ['check', '--config', lab.settingsPath('a')]);
    expect(check.stdout).toMatch(/^error +copy\.local +volume \S+, which .* holds something else/m);
    writeSync(descriptor, Buffer.from([0]), 0, 1, 1080);
    closeSync(descriptor);
  });

  test('an agent that reads a copy waits for the first one, says so, and ends when it is told to', async () => {
    const { lab } = copied.cluster;
    const config = lab.writeSettings('b', copied.settings('b'));
    const check = await lab.stillbeat('b', ['check', '--config', config]);
    expect(check.stdout).toMatch(/^warning +volume\.format +\S+ has no copy of what the peers write yet/m);
    const waiting = lab.startAgent('b', copied.settings('b')).catch((error: Error) => error.message);
    await eventually('it says so', SOON_MS, () =>
      /"message":"copy-waits".*"peer":"a"|copy-waits .*peer=a/.test(lab.agentLog('b')),
    );
    expect(await lab.stopAgent('b')).toBe(0);
    await waiting;
  });

  test('[AG9] while it hangs the agent writes on and the lag is a miss; then the copy catches up', async () => {
    const { cluster } = copied;
    const { lab } = cluster;
    await Promise.all([lab.startAgent('a', overA()), lab.startAgent('b', copied.settings('b'))]);
    await cluster.untilPath('network');
    await eventually('b reads a', SOON_MS, async () => (await cluster.peer('b')).storage.fresh);
    await target.fault('none', 'hang');
    const { writes } = (await cluster.status('a')).storage;
    const late = await eventually('the copy is late', SOON_MS, async () => {
      const copy = await copyOf(cluster, 'a');
      return copy.late && copy.fault !== null && copy;
    });
    expect(late).toMatchObject({ misses: 1, fault: expect.stringMatching(/^copying hangs for \d+ ms$/) });
    const { storage } = await cluster.status('a');
    expect(storage).toMatchObject({ available: true, writeError: null });
    expect(storage.writes).toBeGreaterThan(writes);
    const asked = await lab.stillbeat('a', ['copy', '--config', lab.settingsPath('a'), '--within', '300']);
    expect(asked).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^stillbeat: position \d+ is not on the copy: not within 300 ms: copying hangs/),
    });
    await target.heal();
    await eventually('it catches up', SOON_MS, async () => {
      const copy = await copyOf(cluster, 'a');
      return !copy.late && copy.fault === null && copy.copied === copy.position;
    });
    for (const kind of ['copy-late', 'copy-failed', 'copy-caught-up', 'copy-good'])
      await eventually(kind, SOON_MS, async () => (await cluster.events('a', kind)).length === 1);
    await eventually('b reads a again', SOON_MS, async () => (await cluster.peer('b')).storage.fresh);
  });

  test('[AG9] while it fails that is told with its error, and nothing is left out afterwards', async () => {
    const { cluster } = copied;
    const { lab } = cluster;
    await target.fault('none', EIO);
    await eventually('it fails', SOON_MS, async () => (await copyOf(cluster, 'a')).fault === 'copying fails with EIO');
    const text = await lab.stillbeat('a', ['status', '--config', lab.settingsPath('a')]);
    expect(text.stdout).toMatch(/^copy +local +\/dev\/loop\d+ +position \d+ of \d+ .*copying fails with EIO/m);
    expect(await cluster.ping('a', 'b', 5)).toBe(true);
    await target.heal();
    const { status } = await lab.stillbeat('a', ['copy', '--config', lab.settingsPath('a')]);
    expect(status).toBe(0);
  });

  test('[AG9] a ring that is short for the rate and the lag is warned about once, and shown; check says what it bears', async () => {
    const { cluster } = copied;
    const { lab } = cluster;
    await lab.stopAgent('a');
    // Half a megabyte a second for a minute is more than the ring of 32 MiB keeps clear.
    await lab.startAgent(
      'a',
      copied.settings('a', { storage: { local: { volume: target.path }, copyWithinMs: 60_000 } }),
    );
    await cluster.untilPath('network');
    const check = await lab.stillbeat('a', ['check', '--config', lab.settingsPath('a')]);
    expect(check.stdout).toMatch(
      /^warning +copy\.ring +a ring of .* bears .* a second while copies take 60000 ms, and no limit/m,
    );
    expect(await copyOf(cluster, 'a')).toMatchObject({ ringShort: false });
    for (const [node, peer] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const)
      await lab.ask(node, { command: 'path', peer, to: 'storage' });
    await cluster.untilPath('storage');
    const tcp = await tcpTransfer(lab, { from: 'a', to: 'b', bytesPerSecond: 2e6 });
    const told = await eventually('it is told', SOON_MS, async () => (await cluster.events('a', 'copy-ring'))[0]);
    expect(told).toMatchObject({
      copy: 'local',
      reason: 'the ring is short for this rate and lag: packets may wait for the copy',
      mend: expect.stringMatching(/^format the volume larger/),
    });
    const { ringShort, ringNeededBytes, ringBytes } = await copyOf(cluster, 'a');
    expect(ringShort).toBe(true);
    expect(ringNeededBytes).toBeGreaterThan((ringBytes * 7) / 8);
    expect(await tcp.stop()).toMatchObject({ survived: true, corrupted: 0 });
    expect(await cluster.events('a', 'copy-ring')).toHaveLength(1);
  });
});

describe('copy: command', () => {
  let copied: CopiedCluster;
  let script: string;
  beforeAll(async () => {
    copied = await copiedCluster('command');
    script = join(copied.cluster.lab.directory, 'copy.sh');
  });
  afterAll(async () => copied?.cluster.close());

  const write = (...lines: string[]): void =>
    writeFileSync(script, ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });
  const dd = (): string =>
    `dd if="$STILLBEAT_SEND" of=${copied.volumes.get('a')?.receive} bs=1M oflag=direct conv=notrunc status=none`;

  test('[AG8] on command: run by stillbeat copy alone, its words in the log, its failure with status and last line', async () => {
    const { cluster } = copied;
    const { lab } = cluster;
    write(dd(), 'echo "copied for $STILLBEAT_NODE"');
    const onCommand = { storage: { command: { run: [script], onCommand: true, intervalMs: 500, timeoutMs: 1000 } } };
    // a waits for b, whose copy goes on all the time; b for what a copies once.
    const started = [lab.startAgent('a', copied.settings('a', onCommand)), lab.startAgent('b', copied.settings('b'))];
    await started[0];
    const copy = ['copy', '--config', lab.settingsPath('a')];
    expect((await lab.stillbeat('a', copy)).status).toBe(0);
    await started[1];
    await cluster.untilPath('network');
    const before = await copyOf(cluster, 'a');
    await eventually('a writes, and nobody copies', SOON_MS, async () => {
      const now = await copyOf(cluster, 'a');
      expect(now.copied).toBe(before.copied);
      return now.position > before.position || (await cluster.status('a')).storage.writes > 5;
    });
    const ran = await lab.stillbeat('a', copy);
    expect(ran).toMatchObject({ status: 0, stdout: expect.stringMatching(/^position \d+ is on the copy after/) });
    expect((await cluster.events('a', 'copy-ran')).at(-1)).toMatchObject({ said: 'copied for a', copy: 'command' });

    write('echo "no space there" >&2', 'exit 9');
    const failed = await lab.stillbeat('a', copy);
    expect(failed).toMatchObject({ status: 1, stdout: '' });
    expect(failed.stderr).toMatch(/is not on the copy: \S+copy\.sh ended with status 9, and said: no space there\n$/);
    expect((await cluster.events('a', 'copy-failed')).at(-1)).toMatchObject({
      reason: `${script} ended with status 9`,
      said: 'no space there',
    });
    write('sleep 60');
    const late = await lab.stillbeat('a', copy);
    expect(late.stderr).toMatch(/is not on the copy: \S+copy\.sh did not end within 1000 ms\n$/);
    write(dd());
    expect((await lab.stillbeat('a', copy)).status).toBe(0);
    expect(await cluster.events('a', 'copy-good')).toHaveLength(1);
  });
});
