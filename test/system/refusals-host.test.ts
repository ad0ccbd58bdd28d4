/** What the host refuses `run`: TUN, rights, names and ports that are taken, and a second agent of one name. */
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../agent/base/errors.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { HEAD_STATE } from '../../agent/volume/layout.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { headOf } from '../support/slot-content.ts';
import { nothingLeft, refused, type Wrapper } from '../support/refusal.ts';

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'host', volumeBytes: 16 << 20 });
});
afterAll(async () => cluster?.close());

/** A shell command first, then the program, in a mount namespace of its own. */
const inItsOwnMounts = (command: string): Wrapper => [
  'unshare',
  '--mount',
  '--propagation',
  'slave',
  'sh',
  '-c',
  `${command} && exec "$@"`,
  'sh',
];

describe('before it runs', () => {
  afterEach(async () => nothingLeft(cluster.lab));
  const settings = (overrides: Record<string, unknown> = {}): string => cluster.lab.writeSettings('a', overrides);

  test('no TUN', async () => {
    const noTun = inItsOwnMounts('mount -t tmpfs none /dev/net');
    await refused(cluster.lab, settings(), 'vnic', /\/dev\/net\/tun is missing: .*modprobe tun/, noTun);
  });

  test('no rights', async () => {
    const noRights = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'];
    await refused(cluster.lab, settings(), 'vnic', /CAP_NET_ADMIN/, noRights);
  });

  test('the name of the interface is taken', async () => {
    const { lab } = cluster;
    await lab.exec('a', ['ip', 'link', 'add', 'sb0', 'type', 'veth', 'peer', 'name', 'sb0peer']);
    await refused(lab, settings(), 'vnic', /sb0.*(taken|is not a TUN)/);
    expect((await lab.exec('a', ['ip', '-brief', 'link', 'show', 'sb0'])).status).toBe(0);
    await lab.exec('a', ['ip', 'link', 'del', 'sb0']);
  });

  test('the port is taken, the address is no address of this host', async () => {
    const { lab } = cluster;
    const program = `require('dgram').createSocket('udp4').bind(7788, '${lab.network.address('a')}', () => console.log('up'))`;
    const holder = lab.spawn('a', [process.execPath, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout!, 'data');
    await refused(lab, settings(), 'primary', /192\.168\.50\.1:7788 is taken by another program/);
    await nothingLeft(lab);
    const ended = once(holder, 'exit');
    holder.kill('SIGKILL');
    await ended;
    await refused(lab, settings({ primary: { listen: '192.168.50.77:7788' } }), 'primary', /no address of this host/);
  });
});

describe('a second agent of one name', () => {
  /** Settings of a second agent a that could live beside the first: other interface, port and control socket. */
  function second(more: Record<string, unknown> = {}): string {
    const { lab } = cluster;
    const listen = `${lab.network.address('a')}:7799`;
    const control = { socket: join(lab.directory, 'second.sock') };
    const path = lab.writeSettings('a', { vnic: { name: 'sb1' }, primary: { listen }, control, ...more });
    const own = join(lab.directory, 'second.yaml');
    writeFileSync(own, readFileSync(path));
    return own;
  }

  /** Another host that shares the volume: its own boot, and a device node of its own, so that no lock is shared. */
  function anotherHost(): { wrapper: Wrapper; settings: string } {
    const { lab } = cluster;
    const bootId = join(lab.directory, 'boot_id');
    const device = join(lab.directory, 'other-host-disk');
    writeFileSync(bootId, '01234567-89ab-cdef-0123-456789abcdef\n');
    const { rdev } = statSync(lab.volume.path);
    const [major, minor] = [(rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00)];
    const command =
      `mount --bind ${bootId} /proc/sys/kernel/random/boot_id && ` +
      `(test -b ${device} || mknod ${device} b ${major} ${minor})`;
    const peers = [{ node: 'b', address: [lab.vnicAddress('b')], primary: `${lab.network.address('b')}:7788` }];
    return { wrapper: inItsOwnMounts(command), settings: second({ storage: { send: { volume: device } }, peers }) };
  }

  beforeAll(async () => cluster.startAgents());

  test('on the same host: the slot is taken; the first one is not disturbed', async () => {
    const { lab } = cluster;
    const { incarnation } = await cluster.status('a');
    await refused(lab, second(), 'taken', /node a is taken: another agent on this host/);
    await refused(lab, second({ control: { socket: lab.socketPath('a') } }), 'taken', /a\.sock is in use/);
    expect((await cluster.status('a')).incarnation).toBe(incarnation);
    expect(await cluster.ping('b', 'a', 5)).toBe(true);
    expect((await lab.exec('a', ['ip', '-brief', 'link', 'show', 'sb1'])).status).not.toBe(0);
  });

  test('on another host: its beacons are seen, the second one is refused', async () => {
    const { lab } = cluster;
    const { wrapper, settings } = anotherHost();
    const { incarnation, pid } = await cluster.status('a');
    await refused(
      lab,
      settings,
      'taken',
      new RegExp(`node a is taken: an agent on another host \\(pid ${pid} there\\)`),
      wrapper,
    );
    expect((await cluster.status('a')).incarnation).toBe(incarnation);
    expect(await cluster.ping('b', 'a', 5)).toBe(true);
  });

  test('on the same host by another device node, as with multipath: its beacons are seen, the second one is refused', async () => {
    const { lab } = cluster;
    const { stdout } = await run(['losetup', '--find', '--show', lab.volume.file]);
    const device = stdout.trim();
    try {
      const { incarnation, pid } = await cluster.status('a');
      const settings = second({ storage: { send: { volume: device } } });
      const line = new RegExp(`node a is taken: another agent on this host \\(pid ${pid}\\) .*${device}`);
      await refused(lab, settings, 'taken', line);
      expect((await cluster.status('a')).incarnation).toBe(incarnation);
      expect(await cluster.ping('b', 'a', 5)).toBe(true);
    } finally {
      await run(['losetup', '--detach', device]);
    }
  });

  test('killed on the same host: the next one does not watch for an owner that is dead', async () => {
    const { lab } = cluster;
    const start = async (signal: NodeJS.Signals): Promise<number> => {
      await lab.stopAgent('a', signal);
      const { state } = headOf(lab.volume.file, 'a', cluster.clusterKey) ?? {};
      expect(state === HEAD_STATE.running).toBe(signal === 'SIGKILL');
      const beganMs = performance.now();
      await lab.startAgent('a');
      return performance.now() - beganMs;
    };
    // The watch takes 2.5 s each time; a processor that is not to be had takes a start so long now and then.
    const moreMs: number[] = [];
    while (moreMs.length < 5 && !moreMs.some((ms) => ms < 2000)) {
      const usualMs = await start('SIGTERM');
      moreMs.push((await start('SIGKILL')) - usualMs);
    }
    expect(Math.min(...moreMs)).toBeLessThan(2000);
    await cluster.untilPath('network');
  });

  test('on another host while the first stood still: the first one ends as soon as it sees the second', async () => {
    const { lab } = cluster;
    const { wrapper, settings } = anotherHost();
    const known = (await cluster.events('b', 'incarnation')).length;
    process.kill(lab.agentPid('a'), 'SIGSTOP');
    const argv = [...wrapper, process.execPath, CLI_PATH, 'run', '--config', settings];
    const other = lab.spawn('a', argv, { stdio: 'ignore' });
    try {
      await eventually('b has accepted the second', 60_000, async () => {
        return (await cluster.events('b', 'incarnation')).length > known;
      });
    } finally {
      process.kill(lab.agentPid('a'), 'SIGCONT');
    }
    await eventually('the first ends', SOON_MS, () => lab.agentEnded('a') !== null);
    expect(lab.agentEnded('a')).toBe(EXIT.taken);
    expect(lab.agentLog('a')).toMatch(/another agent writes this node's slot/);
    // It has not written into what is no longer its own: the second one's head goes on.
    const head = () => headOf(lab.volume.file, 'a', cluster.clusterKey);
    const mark = head()?.headMark ?? 0;
    await eventually('the head goes on', SOON_MS, () => (head()?.headMark ?? 0) > mark + 2);
    expect(head()).toMatchObject({ pid: other.pid, state: HEAD_STATE.running });
    expect(other.exitCode).toBeNull();
    const ended = once(other, 'exit');
    other.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });
});
