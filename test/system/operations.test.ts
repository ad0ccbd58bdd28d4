/** What an operator does: status, override, new settings, stop and restart; and check, where something is wrong. */
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { heartbeatStream } from '../../agent/demo/workload.ts';
import { HEAD_STATE } from '../../agent/volume/layout.ts';
import { Cluster, eventually, SOON_MS, type Status } from '../support/cluster.ts';
import { headOf } from '../support/slot-content.ts';

// No doubling: the tests restart a again and again, which to b is a flapping network.
const OVERRIDES = { primary: { probe: { stableForMs: 500, stableForMaxMs: 500 } } };

let cluster: Cluster;
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'operate', volumeBytes: 16 << 20 }, OVERRIDES);
});
afterAll(async () => cluster?.close());

const stillbeat = async (...args: string[]) => cluster.lab.stillbeat('a', args);
const config = (): string => cluster.lab.settingsPath('a');
const hasInterface = async (): Promise<boolean> =>
  (await cluster.lab.exec('a', ['ip', '-brief', 'address', 'show', 'sb0'])).stdout.includes(
    cluster.lab.vnicAddress('a'),
  );

/** The keys of a document, dotted; `[]` stands for the items of a list. */
function keysOf(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return [at];
  if (Array.isArray(value)) {
    const isPlain = value.every((item) => typeof item !== 'object');
    return isPlain ? [at] : value.flatMap((item) => keysOf(item, `${at}[]`));
  }
  return Object.entries(value).flatMap(([key, below]) => keysOf(below, at === '' ? key : `${at}.${key}`));
}

describe('status', () => {
  test('--json has the keys of the documented schema', async () => {
    const { status, stdout } = await stillbeat('status', '--json', '--config', config());
    expect(status).toBe(0);
    const document = JSON.parse(stdout) as Status;
    expect(stdout.trim().split('\n').length).toBe(1);
    expect(document).toMatchObject({
      cluster: 'lab',
      node: 'a',
      pid: cluster.lab.agentPid('a'),
      vnic: { name: 'sb0', mtu: 1500 },
    });
    expect(document.version).toMatch(/^\d+\.\d+\.\d+/);
    expect(document.storage).toMatchObject({ available: true, direct: true });
    expect(document.storage.lastWriteMs).toBeGreaterThan(0);
    const [peer] = document.peers;
    expect(peer).toMatchObject({ node: 'b', path: 'network', network: { reachable: true }, storage: { fresh: true } });
    expect(Date.parse(peer?.since ?? '')).toBeGreaterThan(0);
    expect(peer?.network.rttMs).toBeGreaterThan(0);
    for (const key of ['sent', 'received', 'lost', 'duplicates'] as const) expect(peer?.[key]).toBeTypeOf('number');
    for (const type of ['heartbeat', 'data', 'bulk'] as const) expect(peer?.queues[type].depth).toBeTypeOf('number');
  });

  test('README names every key of the live document, and no other', async () => {
    const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
    const section = /^## Status document$(.*?)^##/ms.exec(readme)?.[1] ?? '';
    const documented = [...section.matchAll(/^\| `([^`]+)` \|/gm)].flatMap(([, key = '']) =>
      key.includes('TYPE') ? ['heartbeat', 'data', 'bulk'].map((type) => key.replace('TYPE', type)) : [key],
    );
    const document: unknown = JSON.parse((await stillbeat('status', '--json', '--config', config())).stdout);
    // What else an event holds is its kind's own.
    const live = keysOf(document).filter((key) => !key.startsWith('events[].') || /\.(at|kind)$/.test(key));
    expect([...new Set(live)].toSorted()).toEqual(documented.toSorted());
  });

  test('[AG8] copy: a shared volume is its own copy, and what is written is read by the peer', async () => {
    const { status, stdout } = await stillbeat('copy', '--config', config());
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/^position \d+ is on the copy after .* read by b after/),
    ]);
  });

  test('as text it names interface, network, storage, and each peer with its path', async () => {
    const { status, stdout } = await stillbeat('status', '--socket', cluster.lab.socketPath('a'));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^lab \/ a +stillbeat \d/);
    expect(stdout).toMatch(/^interface +sb0 +10\.77\.0\.1\/24 fd77::1\/64 +mtu 1500$/m);
    expect(stdout).toMatch(/^network +tunnel +eth0 carrier$/m);
    expect(stdout).toMatch(/^storage +\/dev\/loop\d+ +available/m);
    expect(stdout).toMatch(/^b +network +\d{4}-/m);
  });

  test.each([[[]], [['--json']]])('--watch %j goes on while no agent answers, until SIGINT', async (more) => {
    const { lab } = cluster;
    const argv = [process.execPath, CLI_PATH, 'status', '--watch', ...more, '--socket', lab.socketPath('a')];
    const child = lab.spawn('a', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    let seen = '';
    child.stdout?.on('data', (piece: Buffer) => (seen += piece.toString()));
    // Without JSON a change is told once: it may be while what makes it is still under way.
    const shows = async (what: string, word: RegExp, change = async () => {}): Promise<void> => {
      seen = '';
      await change();
      await eventually(what, SOON_MS, () => word.test(seen));
    };
    const looks = more.length > 0 ? /^\{"cluster":"lab".*\}$/m : /^lab \/ a /m;
    await shows('a first look', looks);
    await shows(
      'no answer',
      more.length > 0 ? /^\{"error":"not answering: .*"\}$/m : /^not answering: control socket .*$/m,
      async () => void (await lab.stopAgent('a')),
    );
    await shows('the agent again', looks, async () => lab.startAgent('a', OVERRIDES));
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    expect(await ended).toEqual([0, null]);
    await cluster.untilPath('network');
  });

  test('without an agent it says so, with status 1', async () => {
    const { status, stderr } = await stillbeat('status', '--socket', '/nowhere/x.sock');
    expect(status).toBe(1);
    expect(stderr).toMatch(/^stillbeat: control socket \/nowhere\/x\.sock: no agent runs here; [^\n]+\n$/);
  });
});

describe('path', () => {
  afterEach(async () => {
    await cluster.lab.heal();
    await stillbeat('path', 'b', 'auto', '--config', config());
    await cluster.untilPath('network');
  });

  test('storage: traffic takes the storage though the network is good, auto gives it back', async () => {
    const stream = await heartbeatStream(cluster.lab, { from: 'a', to: 'b', perSecond: 100, port: 7000 });
    expect(await stillbeat('path', 'b', 'storage', '--config', config())).toMatchObject({
      status: 0,
      stdout: 'b: storage\n',
    });
    await cluster.untilPath('storage', SOON_MS, ['a']);
    const { batches } = (await cluster.status('a')).storage;
    await eventually(
      'batches are written',
      SOON_MS,
      async () => (await cluster.status('a')).storage.batches > batches + 20,
    );
    expect((await cluster.peer('a')).override).toBe('storage');
    await stillbeat('path', 'b', 'auto', '--config', config());
    await cluster.untilPath('network');
    expect(await stream.stop()).toMatchObject({ lost: 0, duplicated: 0, disordered: 0 });
    expect((await cluster.events('a', 'override')).map(({ to }) => to)).toEqual(['storage', 'auto']);
  });

  test('network: no change to the storage though the network is cut', async () => {
    await stillbeat('path', 'b', 'network', '--config', config());
    await cluster.lab.cut('silent');
    await cluster.untilPath('storage', SOON_MS, ['b']);
    expect((await cluster.peer('a')).path).toBe('network');
  });

  test('an unknown peer or path is refused, with what there is', async () => {
    const peer = await stillbeat('path', 'zz', 'auto', '--config', config());
    expect([peer.status, peer.stderr]).toEqual([
      expect.any(Number),
      "stillbeat: no peer zz: this node's peers are b\n",
    ]);
    const path = await stillbeat('path', 'b', 'moon', '--config', config());
    expect(path.stderr).toMatch(/^stillbeat: no path moon: use [^\n]+\n$/);
    expect([peer.status === 0, path.status === 0]).toEqual([false, false]);
  });
});

describe('signals', () => {
  test('SIGHUP reads the settings again: the new ones hold, bad ones change nothing', async () => {
    const { lab } = cluster;
    const { incarnation } = await cluster.status('a');
    lab.writeSettings('a', { ...OVERRIDES, vnic: { mtu: 'wide' } });
    process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('the refusal is logged', SOON_MS, () => lab.agentLog('a').includes('settings not taken over'));
    expect((await cluster.status('a')).incarnation).toBe(incarnation);
    lab.writeSettings('a', { ...OVERRIDES, vnic: { mtu: 4000 } });
    process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('the new settings hold', SOON_MS, async () => (await cluster.status('a')).vnic.mtu === 4000);
    await cluster.untilPath('network');
    expect((await lab.exec('a', ['ip', 'link', 'show', 'sb0'])).stdout).toContain('mtu 4000');
    expect(await cluster.ping('a', 'b', 5)).toBe(true);
    lab.writeSettings('a', OVERRIDES);
    process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('the old ones hold', SOON_MS, async () => (await cluster.status('a')).vnic.mtu === 1500);
    await cluster.untilPath('network');
  });

  test('SIGHUP again and again, also while the agent starts anew: the newest settings hold in the end', async () => {
    const { lab } = cluster;
    const { incarnation } = await cluster.status('a');
    lab.writeSettings('a', { ...OVERRIDES, vnic: { mtu: 3000 } });
    process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('the agent starts anew', SOON_MS, async () => {
      return await cluster.status('a').then(
        (status) => status.incarnation !== incarnation,
        () => true,
      );
    });
    lab.writeSettings('a', OVERRIDES);
    for (let i = 0; i < 3; i++) process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('the newest settings hold', SOON_MS, async () => (await cluster.status('a')).vnic.mtu === 1500);
    await cluster.untilPath('network');
    await eventually('a reaches b', SOON_MS, async () => cluster.ping('a', 'b'));
    expect(lab.agentEnded('a')).toBeNull();
  });

  test('SIGHUP with settings that cannot start: refused before the agent is touched, or the former ones start again', async () => {
    const { lab } = cluster;
    const [{ incarnation }, pid] = [await cluster.status('a'), lab.agentPid('a')];
    const hangUp = async (overrides: Record<string, unknown>, word: string | RegExp): Promise<void> => {
      lab.writeSettings('a', { ...OVERRIDES, ...overrides });
      process.kill(pid, 'SIGHUP');
      await eventually(`the log says ${word}`, SOON_MS, () => lab.agentLog('a').search(word) >= 0);
    };
    await hangUp({ storage: { send: { volume: '/dev/nothing' } } }, /not taken over[^\n]*\/dev\/nothing/);
    await hangUp({ keyFile: '/nowhere/key' }, /not taken over[^\n]*\/nowhere\/key/);
    await hangUp({ keyFile: null, unauthenticated: true }, /not taken over[^\n]*key differs/);
    await hangUp({ control: { socket: '/dev/null/x.sock' } }, /not taken over[^\n]*\/dev\/null/);
    expect((await cluster.status('a')).incarnation).toBe(incarnation);
    await hangUp(
      { primary: { ...OVERRIDES.primary, listen: '192.0.2.1:7788' } },
      /back to the former[^\n]*192\.0\.2\.1/,
    );
    await eventually('the former settings run', SOON_MS, async () => (await cluster.status('a')).pid === pid);
    lab.writeSettings('a', OVERRIDES);
    await cluster.untilPath('network');
    expect((await cluster.status('a')).incarnation).not.toBe(incarnation);
    expect(await cluster.ping('a', 'b', 5)).toBe(true);
    expect(lab.agentEnded('a')).toBeNull();
  });

  test('SIGHUP when neither the new settings nor the former ones can start: its status, and no interface', async () => {
    const { lab } = cluster;
    const listen = `${lab.network.address('a')}:7788`;
    const pid = lab.agentPid('a');
    lab.writeSettings('a', { ...OVERRIDES, primary: { ...OVERRIDES.primary, listen: '192.0.2.1:7788' } });
    await lab.exec('a', ['ip', 'address', 'flush', 'dev', 'eth0']);
    process.kill(pid, 'SIGHUP');
    await eventually('the agent ends', SOON_MS, () => lab.agentEnded('a') !== null);
    expect(lab.agentEnded('a')).toBe(6);
    expect(await hasInterface()).toBe(false);
    await lab.stopAgent('a');
    await lab.exec('a', ['ip', 'address', 'add', `${listen.split(':')[0]}/24`, 'dev', 'eth0']);
    await lab.startAgent('a', OVERRIDES);
    await cluster.untilPath('network');
  });

  test('SIGHUP keeps an override, and moves the control socket', async () => {
    const { lab } = cluster;
    await stillbeat('path', 'b', 'storage', '--config', config());
    await cluster.untilPath('storage', SOON_MS, ['a']);
    const socket = join(lab.directory, 'moved.sock');
    const { incarnation } = await cluster.status('a');
    lab.writeSettings('a', { ...OVERRIDES, control: { socket } });
    process.kill(lab.agentPid('a'), 'SIGHUP');
    const moved = await eventually('it answers at the new socket', SOON_MS, async () => {
      const { status, stdout } = await stillbeat('status', '--json', '--socket', socket);
      const document = status === 0 && (JSON.parse(stdout) as Status);
      return document && document.incarnation !== incarnation && document;
    });
    expect(moved.peers[0]?.override).toBe('storage');
    await eventually('the old socket is gone', SOON_MS, () => !existsSync(lab.socketPath('a')));
    lab.writeSettings('a', OVERRIDES);
    process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('it is back', SOON_MS, () => existsSync(lab.socketPath('a')) && !existsSync(socket));
    await eventually(
      'it answers',
      SOON_MS,
      async () => (await stillbeat('path', 'b', 'auto', '--config', config())).status === 0,
    );
    await cluster.untilPath('network');
  });

  test('SIGKILL leaves the interface with its address; the restart takes it over and goes on', async () => {
    const { lab } = cluster;
    const before = await cluster.status('a');
    await lab.stopAgent('a', 'SIGKILL');
    expect(await hasInterface()).toBe(true);
    await lab.startAgent('a', OVERRIDES);
    await cluster.untilPath('network');
    expect(await cluster.ping('b', 'a', 5)).toBe(true);
    const after = await cluster.status('a');
    expect(after.incarnation).not.toBe(before.incarnation);
    expect(await hasInterface()).toBe(true);
  });

  test('SIGTERM drains and ends with 0: no interface, no socket, no process, and the head says "stopped"', async () => {
    const { lab } = cluster;
    const pid = lab.agentPid('a');
    const children = processesOf(lab.directory);
    expect(children).toContain(pid);
    expect(await lab.stopAgent('a')).toBe(0);
    expect(await hasInterface()).toBe(false);
    expect(existsSync(lab.socketPath('a'))).toBe(false);
    expect(processesOf(lab.settingsPath('a'))).toEqual([]);
    expect(headOf(lab.volume.file, 'a', cluster.clusterKey)?.state).toBe(HEAD_STATE.stopped);
    await cluster.untilPath('isolated', SOON_MS, ['b']);
    await lab.startAgent('a', OVERRIDES);
    await cluster.untilPath('network');
  });
});

/** Processes with this word in their command line. */
function processesOf(word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        readlinkSync(`/proc/${pid}/exe`);
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word);
      } catch {
        return false; // it has ended, or is the kernel's own
      }
    })
    .map(Number);
}

describe('check', () => {
  interface Finding {
    readonly level: string;
    readonly name: string;
    readonly what: string;
    readonly mend: string | null;
  }

  async function findings(overrides: Record<string, unknown>): Promise<{ status: number; found: Finding[] }> {
    const { lab } = cluster;
    const file = lab.writeSettings('a', { ...OVERRIDES, ...overrides });
    const { status, stdout } = await stillbeat('check', '--config', file, '--json');
    return { status, found: (JSON.parse(stdout) as { findings: Finding[] }).findings };
  }

  const named = (found: readonly Finding[], name: string, level: string): Finding | undefined =>
    found.find((finding) => finding.name.startsWith(name) && finding.level === level);

  beforeAll(async () => {
    await cluster.lab.stopAgent('a');
  });

  test('with everything in place nothing stops run', async () => {
    const { status, found } = await findings({});
    expect(found.filter(({ level }) => level === 'error')).toEqual([]);
    expect(status).toBe(0);
  });

  const cases: [string, Record<string, unknown>, string, string, RegExp][] = [
    [
      'a volume that is not there',
      { storage: { send: { volume: '/dev/nothing' } } },
      'volume',
      'error',
      /\/dev\/nothing/,
    ],
    ['no such primary interface', { primary: { interface: 'eth7' } }, 'primary.interface', 'error', /eth7/],
    [
      'an address of another host',
      { primary: { listen: '192.168.50.99:7788' } },
      'primary.listen',
      'error',
      /192\.168\.50\.99/,
    ],
    ['the name of the interface taken', { vnic: { name: 'lo' } }, 'vnic', 'error', /\blo\b/],
    ['a volume of another cluster', { cluster: 'other' }, 'volume', 'error', /other/],
    ['a missing key', { keyFile: '/nowhere/key' }, 'key', 'error', /\/nowhere\/key/],
  ];
  for (const [title, overrides, name, level, what] of cases) {
    test(`${title}: found, with its mend, and status 1`, async () => {
      const { status, found } = await findings(overrides);
      const finding = named(found, name, level);
      expect(finding?.what).toMatch(what);
      expect(finding?.mend?.length).toBeGreaterThan(5);
      expect(status).toBe(1);
    });
  }

  test('no carrier: a warning; a dead peer: a warning', async () => {
    await cluster.lab.cut('carrier', 'a');
    await delay(0);
    const { status, found } = await findings({});
    expect(named(found, 'primary.carrier', 'warning')?.mend).toMatch(/plug/);
    expect(named(found, 'peer', 'warning')).toBeDefined();
    expect(found.filter((f) => f.level === 'error')).toEqual([]);
    expect(status).toBe(0);
    await cluster.lab.heal();
  });
});
