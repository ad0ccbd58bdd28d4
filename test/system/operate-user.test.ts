/**
 * The agent as the unit file runs it, as a user of its own with three capabilities and no root, and the OCF resource agent that watches
 * it. No systemd runs in a container: setpriv gives the rights, a socket of ours hears the notifications.
 */
import { once } from 'node:events';
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { CommandResult } from '../../agent/demo/shell.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { NotifyReceiver } from '../support/notify-receiver.ts';

/** A user that no password file knows. */
const USER = 61_234;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const UNIT = readFileSync(join(ROOT, 'config/systemd/stillbeat@.service'), 'utf8');
const UNIT_CAPABILITIES = (/^AmbientCapabilities=(.*)$/m.exec(UNIT)?.[1] ?? '').toLowerCase().split(' ');

let cluster: Cluster;
let home: string;
let owner: { uid: number; gid: number };
let child: ChildProcess | null = null;
let log = '';

beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'user', volumeBytes: 16 << 20 });
  const { lab } = cluster;
  home = join(lab.directory, 'home');
  mkdirSync(home);
  chownSync(home, USER, USER);
  // Only passing through: what a lab of a dead owner left is known by nobody else having been able to write there.
  chmodSync(lab.directory, 0o711);
  const { uid, gid } = statSync(lab.volume.path);
  owner = { uid, gid };
  chownSync(lab.volume.path, USER, USER);
  await lab.startAgent('b');
});
afterEach(async () => {
  if (child === null || child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
});
afterAll(async () => {
  if (cluster) chownSync(cluster.lab.volume.path, owner.uid, owner.gid);
  await cluster?.close();
});

const socket = (): string => join(home, 'a.sock');

/** Starts the agent of a as the user with these capabilities. */
function start(capabilities: readonly string[], environment: Readonly<Record<string, string>> = {}): ChildProcess {
  const { lab } = cluster;
  const corosync = { conf: join(home, 'corosync.conf') };
  const written = lab.writeSettings('a', { keyFile: join(home, 'key'), control: { socket: socket() }, corosync });
  const settings = join(home, 'a.yaml');
  for (const [from, to] of [
    [written, settings],
    [join(lab.directory, 'a.key'), join(home, 'key')],
  ] as const) {
    copyFileSync(from, to);
    chownSync(to, USER, USER);
    chmodSync(to, 0o600);
  }
  const list = ['-all', ...capabilities.map((name) => name.replace('cap_', '+'))].join(',');
  const user = ['setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups', '--no-new-privs'];
  const rights = [`--inh-caps=${list}`, `--ambient-caps=${list}`, `--bounding-set=${list}`];
  // The checkout may lie where only its owner may go: the user sees it, and Node, below /mnt. On a host anybody may open TUN.
  const mounts = `mount -t tmpfs none /mnt && mkdir /mnt/root && touch /mnt/node && mount --bind ${ROOT} /mnt/root &&
    mount --bind "$(readlink -f ${process.execPath})" /mnt/node && mknod -m 666 /mnt/tun c 10 200 &&
    mount --bind /mnt/tun /dev/net/tun && exec "$@"`;
  const program = ['/mnt/node', '/mnt/root/dist/agent/cli.js', 'run', '--config', settings];
  log = '';
  child = lab.spawn(
    'a',
    ['unshare', '--mount', '--propagation', 'slave', 'sh', '-c', mounts, 'sh', ...user, ...rights, ...program],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin`, ...environment },
    },
  );
  child.stderr?.on('data', (piece: Buffer) => (log += piece.toString()));
  return child;
}

const status = async (): Promise<CommandResult> =>
  cluster.lab.stillbeat('a', ['status', '--json', '--socket', socket()]);

async function untilOnNetwork(): Promise<void> {
  await eventually('a is on the network', 60_000, async () => {
    if (child?.exitCode !== null) throw new Error(`it ended: ${log}`);
    const { stdout } = await status();
    return (JSON.parse(stdout) as { peers: { path: string }[] }).peers[0]?.path === 'network';
  }).catch((error: unknown) => {
    throw new Error(`not on the network: ${log}`, { cause: error });
  });
}

describe('as a user of its own', () => {
  test('with the capabilities of the unit file: interface, volume, priority; systemd hears of it', async () => {
    const { lab } = cluster;
    const path = join(home, 'notify');
    const receiver = new NotifyReceiver(path);
    chownSync(path, USER, USER);
    const agent = start(UNIT_CAPABILITIES, { NOTIFY_SOCKET: path, WATCHDOG_USEC: '400000' });
    await untilOnNetwork();
    expect(readFileSync(`/proc/${agent.pid}/status`, 'utf8')).toMatch(new RegExp(`^Uid:\\t${USER}\\t${USER}`, 'm'));
    await eventually('a ping', SOON_MS, async () => cluster.ping('a', 'b'));
    await lab.cut('silent');
    await eventually('the diagnosis', SOON_MS, () => log.includes('"message":"diagnosis"'));
    expect(log).toMatch(/"icmp":false/);
    await eventually('a ping through storage', SOON_MS, async () => cluster.ping('a', 'b'));
    await lab.heal();
    for (const word of ['READY=1', 'WATCHDOG=1', 'STATUS=b network', 'STATUS=b storage']) {
      await eventually(word, SOON_MS, () => receiver.messages.includes(word));
    }
    const ended = once(agent, 'exit');
    agent.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(receiver.messages).toContain('STOPPING=1');
    receiver.close();
    expect(log).not.toContain('ordinary priority');
    expect((await lab.exec('a', ['ip', 'link', 'show', 'sb0'])).status).not.toBe(0);
  });

  test('without CAP_SYS_NICE, or a corosync.conf that it may read, it says so once and goes on', async () => {
    const conf = join(home, 'corosync.conf');
    writeFileSync(conf, 'totem {\n  token: 3000\n}\n', { mode: 0o600 });
    start(['cap_net_admin']);
    await untilOnNetwork();
    const problem = `${conf} cannot be read (EACCES): no advice on its token`;
    expect(log.split(problem)).toHaveLength(2);
    expect(JSON.parse((await status()).stdout)).toMatchObject({ corosync: { configuredTokenMs: null, problem } });
    rmSync(conf);
    expect(log.match(/ordinary priority/g)).toHaveLength(1);
    expect(log).toMatch(/"level":"warn"[^\n]*CAP_SYS_NICE/);
    await eventually('a ping', SOON_MS, async () => cluster.ping('a', 'b'));
  });

  test('without CAP_NET_ADMIN, or with a volume of somebody else: one line that says so', async () => {
    const refusal = async (capabilities: string[]): Promise<[number, string]> => {
      const [code] = (await once(start(capabilities), 'exit')) as [number];
      return [code, log];
    };
    expect(await refusal(['cap_sys_nice'])).toEqual([
      5,
      expect.stringMatching(/^stillbeat: [^\n]*CAP_NET_ADMIN[^\n]*\n$/),
    ]);
    chownSync(cluster.lab.volume.path, 0, 0);
    chmodSync(cluster.lab.volume.path, 0o600);
    expect(await refusal(['cap_net_admin'])).toEqual([
      3,
      expect.stringMatching(/^stillbeat: volume [^\n]*the right[^\n]*\n$/),
    ]);
    chownSync(cluster.lab.volume.path, USER, USER);
  });
});

describe('the OCF resource agent', () => {
  const AGENT = join(ROOT, 'config/ocf/stillbeat');

  /** As Pacemaker calls it, but for the attribute, which needs a cluster. */
  async function ocf(action: string, more: Readonly<Record<string, string>> = {}): Promise<CommandResult> {
    const environment = {
      OCF_ROOT: '/usr/lib/ocf',
      OCF_RESOURCE_INSTANCE: 'stillbeat',
      OCF_RESOURCE_PROVIDER: 'stillbeat',
      OCF_RESOURCE_TYPE: 'stillbeat',
      HA_RSCTMP: join(cluster.lab.directory, 'resource-agents'),
      OCF_RESKEY_config: cluster.lab.settingsPath('b'),
      OCF_RESKEY_program: join(cluster.lab.directory, 'stillbeat'),
      OCF_RESKEY_attribute: '',
      OCF_RESKEY_count_attribute: '',
      ...more,
    };
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    return cluster.lab.exec('b', ['env', ...variables, AGENT, action]);
  }

  beforeAll(() => {
    const program = join(cluster.lab.directory, 'stillbeat');
    writeFileSync(program, `#!/bin/sh\nexec ${process.execPath} ${ROOT}/dist/agent/cli.js "$@"\n`, { mode: 0o755 });
  });

  test('start, monitor, stop; not running before and after', async () => {
    expect((await ocf('monitor')).status).toBe(7);
    expect((await ocf('start')).status).toBe(0);
    expect((await ocf('monitor')).status).toBe(0);
    expect((await ocf('validate-all')).status).toBe(0);
    expect((await ocf('stop')).status).toBe(0);
    expect((await ocf('monitor')).status).toBe(7);
    expect((await ocf('stop')).status).toBe(0);
    expect((await ocf('jump')).status).toBe(3);
  });

  test('degraded where that is asked for and the peer is not on the network', async () => {
    const { lab } = cluster;
    await lab.ask('b', { command: 'path', peer: 'a', to: 'storage' });
    await cluster.untilPath('storage', SOON_MS, ['b']).catch(() => {}); // nobody accepts b while a is down
    expect((await ocf('start', { OCF_RESKEY_degrade: 'true' })).status).toBe(0);
    expect((await ocf('monitor', { OCF_RESKEY_degrade: 'true' })).status).toBe(190);
    expect((await ocf('monitor')).status).toBe(0);
  });

  test('fails when the agent is gone; a stop does not, also without settings or program', async () => {
    const { lab } = cluster;
    await lab.stopAgent('b');
    const monitor = await ocf('monitor');
    expect(monitor.status).toBe(1);
    expect(monitor.stderr).toMatch(/does not answer: see its log/);
    expect((await ocf('start')).status).toBe(1);
    expect((await ocf('monitor', { OCF_RESKEY_config: '', OCF_RESKEY_CRM_meta_interval: '10000' })).status).toBe(6);
    expect((await ocf('validate-all', { OCF_RESKEY_config: '/nowhere' })).status).toBe(5);
    expect((await ocf('validate-all', { OCF_RESKEY_program: '/nowhere' })).status).toBe(5);
    expect((await ocf('stop', { OCF_RESKEY_program: '/nowhere', OCF_RESKEY_config: '' })).status).toBe(0);
  });
});
