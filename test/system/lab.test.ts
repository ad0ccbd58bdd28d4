/**
 * The lab itself, on the real kernel: what its cuts do to nodes, and that nothing of it stays behind, whether it was
 * closed, interrupted or killed outright.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lab } from '../../agent/demo/lab.ts';
import { run } from '../../agent/demo/shell.ts';
import { insideUserNamespace } from '../../agent/demo/user-namespace.ts';

/** Everything on this host that bears a lab's id. */
async function traces(id: string): Promise<string[]> {
  const netns = (await run(['ip', 'netns', 'list'])).stdout;
  const loops = (await run(['losetup', '--all'])).stdout;
  const files = ['/dev/shm', tmpdir()].flatMap((directory) => readdirSync(directory));
  return [...netns.split('\n'), ...loops.split('\n'), ...files].filter((line) => line.includes(id));
}

async function until(what: string, boundMs: number, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + boundMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${boundMs} ms`);
    await delay(20);
  }
}

describe('cuts', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.create({ nodes: ['a', 'b', 'c'], tag: 'cuts' });
  });
  afterEach(async () => lab.heal());
  afterAll(async () => lab.close());

  const pings = async (from: string, to: string): Promise<boolean> =>
    (await lab.exec(from, ['ping', '-c', '1', '-W', '0.3', lab.network.address(to)])).status === 0;
  const reachable = (from: string, to: string) => until(`${from} pings ${to}`, 5000, async () => pings(from, to));
  const carrier = async (node: string): Promise<string> =>
    (await lab.exec(node, ['cat', '/sys/class/net/eth0/carrier'])).stdout.trim();

  test('nodes reach each other, and nothing else', async () => {
    await reachable('a', 'b');
    await reachable('b', 'c');
    const routes = await lab.exec('a', ['ip', 'route']);
    expect(routes.stdout.trim()).toMatch(/^192\.168\.50\.0\/24 dev eth0\b[^\n]*$/);
  });

  test('a silent cut stops packets and leaves the carrier; sending does not fail', async () => {
    await reachable('a', 'b');
    await lab.cut('silent');
    const result = await lab.exec('a', ['ping', '-c', '3', '-i', '0.05', '-W', '0.3', lab.network.address('b')]);
    expect(result.stdout).toContain('3 packets transmitted, 0 received');
    expect(result.stderr).toBe('');
    expect(await carrier('a')).toBe('1');
    await lab.heal();
    await reachable('a', 'b');
  });

  test('a cut of one direction lets the other through', async () => {
    await reachable('a', 'b');
    const echoes = async (): Promise<number> => {
      const icmp = (await lab.exec('b', ['cat', '/proc/net/snmp'])).stdout
        .split('\n')
        .filter((l) => l.startsWith('Icmp:'));
      const column = icmp[0]?.split(' ').indexOf('InEchos') ?? -1;
      return Number(icmp[1]?.split(' ')[column]);
    };
    await lab.cut('silent', { from: 'b', to: 'a' });
    const before = await echoes();
    expect(await pings('a', 'b')).toBe(false);
    expect(await echoes()).toBe(before + 1);
  });

  test('a cut between two nodes leaves the third in touch with both', async () => {
    await reachable('a', 'c');
    await reachable('b', 'c');
    await lab.cut('silent', { between: ['a', 'b'] });
    expect(await pings('a', 'b')).toBe(false);
    expect(await pings('b', 'a')).toBe(false);
    expect(await pings('a', 'c')).toBe(true);
    expect(await pings('b', 'c')).toBe(true);
  });

  test('a carrier cut takes the carrier of that node alone, and heal gives it back', async () => {
    await lab.cut('carrier', 'a');
    await until('a loses its carrier', 2000, async () => (await carrier('a')) === '0');
    expect(await carrier('b')).toBe('1');
    expect(await pings('b', 'a')).toBe(false);
    await lab.heal();
    await until('a has its carrier again', 2000, async () => (await carrier('a')) === '1');
    await reachable('b', 'a');
  });
});

describe('volumes', () => {
  for (const sectorBytes of [512, 4096] as const) {
    test(`a volume of ${sectorBytes}-byte sectors is a block device of that sector size`, async () => {
      const lab = await Lab.create({ nodes: ['a'], volumeBytes: 8 << 20, sectorBytes, withPrimary: false });
      try {
        expect(lab.volume).toMatchObject({ kind: 'loop', note: '' });
        const size = await run(['blockdev', '--getss', '--getsize64', lab.volume.path]);
        expect(size.stdout.split('\n').slice(0, 2)).toEqual([String(sectorBytes), String(8 << 20)]);
      } finally {
        await lab.close();
      }
    });
  }
});

test('a user namespace is enough: the volume is a plain file there, and cuts work', async () => {
  const module = new URL('../../dist/agent/demo/lab.js', import.meta.url).href;
  const program = `const { Lab } = await import(${JSON.stringify(module)});
    const lab = await Lab.create({ nodes: ['a', 'b'], volumeBytes: 8 << 20, volumeDirectory: '/run/tmp' });
    const ping = async () => (await lab.exec('a', ['ping', '-c1', '-W1', lab.network.address('b')])).status;
    const before = await ping();
    await lab.cut('carrier', 'a');
    const { stdout } = await lab.exec('a', ['cat', '/sys/class/net/eth0/carrier']);
    console.log(JSON.stringify([lab.volume.kind, before, await ping(), stdout.trim()]));
    await lab.close();`;
  const result = await run(insideUserNamespace([process.execPath, '--input-type=module', '-e', program]));
  expect(result).toMatchObject({ status: 0, stderr: '' });
  const [kind, before, after, carrier] = JSON.parse(result.stdout) as [string, number, number, string];
  expect([kind, before, carrier]).toEqual(['file', 0, '0']);
  expect(after).not.toBe(0);
});

describe('clean-up', () => {
  let owner: ChildProcess | null = null;
  afterEach(() => owner?.kill('SIGKILL'));

  /** A lab in another process, with a long-lived process in its node; answers its id. */
  async function labOfAnotherProcess(): Promise<string> {
    const module = new URL('../../dist/agent/demo/lab.js', import.meta.url).href;
    const program = `const { Lab } = await import(${JSON.stringify(module)});
      const lab = await Lab.create({ nodes: ['a', 'b'], volumeBytes: 8 << 20, tag: 'left' });
      const child = lab.spawn('a', ['sleep', '600'], { stdio: 'ignore' });
      console.log(lab.id + ' ' + child.pid);`;
    owner = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(owner.stdout!, 'data')) as [Buffer];
    const [id = '', pid = ''] = line.toString().trim().split(' ');
    sleeper = Number(pid);
    return id;
  }
  let sleeper = 0;

  test('close ends every process and leaves no namespace, loop device or file; closing again is fine', async () => {
    const lab = await Lab.create({ nodes: ['a', 'b'], volumeBytes: 8 << 20, tag: 'close' });
    const child = lab.spawn('a', ['sleep', '600'], { stdio: 'ignore' });
    expect((await traces(lab.id)).length).toBeGreaterThan(4);
    await lab.close();
    expect(await traces(lab.id)).toEqual([]);
    expect(child.signalCode).toBe('SIGKILL');
    await lab.close();
  });

  for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 })) {
    test(`${signal} to the owner cleans up and ends with ${status}`, async () => {
      const id = await labOfAnotherProcess();
      owner!.kill(signal as NodeJS.Signals);
      expect(await once(owner!, 'exit')).toEqual([status, null]);
      expect(await traces(id)).toEqual([]);
    });
  }

  test("what a killed owner left is removed by the next lab, a living owner's lab is not touched", async () => {
    const id = await labOfAnotherProcess();
    const other = await Lab.create({ nodes: ['a'], volumeBytes: 8 << 20, withPrimary: false });
    try {
      expect((await traces(id)).length).toBeGreaterThan(4);
      owner!.kill('SIGKILL');
      await once(owner!, 'exit');
      expect((await traces(id)).length).toBeGreaterThan(4);
      const next = await Lab.create({ nodes: ['a'], volumeBytes: 8 << 20, withPrimary: false });
      await next.close();
      expect(await traces(id)).toEqual([]);
      await until('its process has ended', 2000, async () => {
        return !existsSync(`/proc/${sleeper}`) || readFileSync(`/proc/${sleeper}/stat`, 'utf8').includes(') Z ');
      });
      expect((await traces(other.id)).length).toBeGreaterThan(1);
    } finally {
      await other.close();
    }
  });
});
