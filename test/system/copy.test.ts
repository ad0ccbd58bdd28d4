/**
 * [AG6] [AG7] [AG8] [AG9] Every kind of copy on the real program: two nodes that share no volume, a silent cut, nothing lost,
 * twice or altered, and the return; `stillbeat copy`, which says what is readable at the peer, or that it is not.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LAB_COPIES, type LabCopy } from '../../agent/demo/lab-copies.ts';
import type { Overrides } from '../../agent/demo/lab-settings.ts';
import { dataStream, heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';
import { documentedMetrics, scrapedMetrics, scrapeProgram, tableOf } from '../support/metrics-tables.ts';
import { copiedCluster, type CopiedCluster, copyOf, lossesOf } from '../support/copied-cluster.ts';

const LISTEN = '127.0.0.1:9477';
/** dd is an ordinary program, which takes its time among busy ones: it may take as long as packets may. */
const over = (kind: LabCopy): Overrides => ({
  primary: { probe: { stableForMs: 300, stableForMaxMs: 300 } },
  metrics: { listen: LISTEN },
  ...(kind === 'command' ? { storage: { copyWithinMs: 2000 } } : {}),
});
/** Served while a comparison runs. */
const OF_COMPARISONS = /_resync_/;
const ENDS = [
  { from: 'a', to: 'b' },
  { from: 'b', to: 'a' },
] as const;
const IDS = { local: '[AG6]', command: '[AG8]', mirror: '[AG7]' } as const;

describe.each(LAB_COPIES)('copy: %s', (kind) => {
  let copied: CopiedCluster;
  beforeAll(async () => {
    copied = await copiedCluster(kind);
    const { lab } = copied.cluster;
    // Each waits for the other one's first copy.
    await Promise.all(lab.nodes.map(async (node) => lab.startAgent(node, copied.settings(node, over(kind)))));
    await copied.cluster.untilPath('network');
  });
  afterEach(async () => {
    await copied?.cluster.lab.heal();
    await copied?.cluster.untilPath('network');
  });
  afterAll(async () => copied?.cluster.close());

  test(`${IDS[kind]} through a silent cut and the return nothing is lost, twice or altered, and packets went by the copy`, async () => {
    const { cluster } = copied;
    const { lab } = cluster;
    const before = await cluster.peer('b');
    const streams = await Promise.all(
      ENDS.flatMap((ends) => [
        heartbeatStream(lab, { ...ends, perSecond: 50 }),
        dataStream(lab, { ...ends, perSecond: 50 }),
      ]),
    );
    const tcp = await tcpTransfer(lab, { ...ENDS[0], bytesPerSecond: 1e6 });
    await lab.cut('silent');
    await cluster.untilPath('storage');
    const [from, bytes] = [streams.map(({ progress }) => progress.received), tcp.progress.bytes];
    await eventually('all go on by the copies', SOON_MS, () => {
      return (
        streams.every(({ progress }, i) => progress.received > (from[i] ?? 0) + 50) && tcp.progress.bytes > bytes + 5e5
      );
    });
    expect((await cluster.peer('b')).storage.batches).toBeGreaterThan(before.storage.batches + 20);
    await lab.heal();
    await cluster.untilPath('network');
    const results = await Promise.all(streams.map(async (stream) => stream.stop()));
    const losses = await lossesOf(cluster);
    for (const { silences: _, ...result } of results) {
      const told = `${JSON.stringify(result)} ${losses}`;
      expect(result, told).toMatchObject({ lost: 0, duplicated: 0, disordered: 0, corrupted: 0 });
    }
    expect(await tcp.stop()).toMatchObject({ survived: true, corrupted: 0, error: '' });
    expect(await copyOf(cluster, 'a')).toMatchObject({ kind, fault: null, misses: 0, late: false });
  });

  test('[AG8] copy: all that is written is on the copy and read by the peer, and says so', async () => {
    const { cluster } = copied;
    const { lab } = cluster;
    const { status, stdout, stderr } = await lab.stillbeat('a', ['copy', '--config', lab.settingsPath('a'), '--json']);
    expect([status, stderr]).toEqual([0, '']);
    const answer = JSON.parse(stdout) as { position: number; readBy: string[]; copiedMs: number; afterMs: number };
    expect(answer.readBy).toEqual(['b']);
    expect(answer.afterMs).toBeGreaterThanOrEqual(answer.copiedMs);
    expect((await copyOf(cluster, 'a')).copied).toBeGreaterThanOrEqual(answer.position);
    const named = await lab.stillbeat('a', [
      'copy',
      '--config',
      lab.settingsPath('a'),
      '--peer',
      'b',
      '--position',
      '0',
    ]);
    expect(named).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^position 0 is on the copy .* read by b/),
    });
  });

  test('[AG9] what README says of the figures of this kind is served, and of no other kind', async () => {
    const { lab } = copied.cluster;
    const { stdout } = await lab.exec('a', [process.execPath, '-e', scrapeProgram(LISTEN)]);
    const ofCopies = ([name]: readonly [string, string]) =>
      name.startsWith('stillbeat_copy_') && !OF_COMPARISONS.test(name);
    const served = Object.fromEntries([...scrapedMetrics(stdout)].filter(ofCopies));
    const documented = [
      ...documentedMetrics('Metrics'),
      ...documentedMetrics('Metrics of copies').filter(({ of }) => of.includes(`\`${kind}\``)),
    ];
    const expected = tableOf(documented);
    expect(served).toEqual(Object.fromEntries(Object.entries(expected).filter(ofCopies)));
    expect(stdout).toContain(`stillbeat_copy_kind{kind="${kind}"} 1`);
    expect(stdout).toMatch(/^stillbeat_copy_copied_position_bytes [1-9]\d*$/m);
    const own = {
      local: /^stillbeat_copy_local_writes_total [1-9]\d*$/m,
      command: /^stillbeat_copy_command_runs_total [1-9]\d*$/m,
      mirror: /^stillbeat_copy_target_state\{peer="b",state="in-sync"\} 1$/m,
    };
    expect(stdout).toMatch(own[kind]);
  });

  test('[AG8] copy refuses in one line what cannot be: a position that is not written, a peer that is none', async () => {
    const { lab } = copied.cluster;
    const config = ['copy', '--config', lab.settingsPath('a')];
    const future = await lab.stillbeat('a', [...config, '--position', '9007199254740991']);
    expect(future).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/^stillbeat: position \d+ is not written yet: the newest is \d+\n$/),
    });
    const nobody = await lab.stillbeat('a', [...config, '--peer', 'x']);
    expect(nobody).toMatchObject({ status: 2, stderr: "stillbeat: no peer x: this node's peers are b\n" });
  });

  test('[AG9] a peer that reads no more is a miss within the deadline: status 1, and the peer by its name', async () => {
    const { cluster } = copied;
    const { lab } = cluster;
    const config = ['copy', '--config', lab.settingsPath('a')];
    process.kill(lab.agentPid('b'), 'SIGSTOP');
    try {
      // Something that b has not read before it stopped. With a mirror it is b's agent that takes the copy.
      const isTaken = kind !== 'mirror';
      const was = await copyOf(cluster, 'a');
      const heartbeat = `echo here > /dev/udp/${lab.vnicAddress('b')}/5405`;
      await eventually('a writes', SOON_MS, async () => {
        await lab.exec('a', ['bash', '-c', heartbeat]);
        const now = await copyOf(cluster, 'a');
        return now.position > was.position && (!isTaken || now.copied > was.copied);
      });
      const missed = await lab.stillbeat('a', [...config, '--peer', 'b', '--within', '700']);
      expect(missed).toMatchObject({ status: 1, stdout: '' });
      expect(missed.stderr).toMatch(
        isTaken
          ? /^stillbeat: position \d+ is on the copy, and not read by b within 700 ms: see .*\n$/
          : /^stillbeat: position \d+ is not on the copy: not within 700 ms: .*\n$/,
      );
    } finally {
      process.kill(lab.agentPid('b'), 'SIGCONT');
    }
  });
});
