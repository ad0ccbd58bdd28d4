/** The room of a node's daemons: a machine of its own, of which nothing stays when it is closed or its owner is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NodeRoom } from '../../agent/bench/node-room.ts';
import { Lab } from '../../agent/demo/lab.ts';
import { removeLeftovers } from '../../agent/demo/lab-state.ts';
import { eventually, SOON_MS } from '../support/cluster.ts';

let directory = '';
let lab: Lab;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'room-'));
  for (const file of ['corosync.conf', 'authkey']) writeFileSync(join(directory, file), file);
  writeFileSync(join(directory, 'hosts'), '192.168.50.1 elsewhere\n');
  lab = await Lab.create({ nodes: ['a', 'b'], volumeBytes: 8 << 20, tag: 'room' });
});
afterAll(async () => {
  await lab?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Processes of this host that are in that PID namespace. */
function processesIn(pidNamespace: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/ns/pid`) === pidNamespace;
      } catch {
        return false; // it has ended meanwhile
      }
    });
}

test('a room has a name, files, processes and network of its own, and takes nothing from the host', async () => {
  const room = await NodeRoom.open(lab, 'a', directory);
  const say = async (...argv: string[]) => (await room.exec(argv)).stdout.trim();
  expect(await say('hostname')).toBe('a');
  expect(hostname()).not.toBe('a');
  expect(await say('cat', '/etc/corosync/corosync.conf')).toBe('corosync.conf');
  expect(await say('getent', 'hosts', 'elsewhere')).toContain('192.168.50.1');
  expect(await say('sh', '-c', 'ls -d /proc/[0-9]* | wc -l')).toMatch(/^[2-4]$/);
  expect(await say('ip', '-brief', 'address', 'show', 'eth0')).toContain(lab.network.address('a'));
  expect(await say('stat', '--format', '%U', '/var/lib/pacemaker/cib')).toBe('hacluster');
  expect(await say('sh', '-c', 'touch /run/of-the-room; echo $?')).toBe('0');
  expect(existsSync('/run/of-the-room')).toBe(false);
  expect(existsSync(room.path('/run/of-the-room'))).toBe(true);
  await room.close();
});

test('closing a room ends its daemons, whatever they are', async () => {
  const room = await NodeRoom.open(lab, 'a', directory);
  const pidNamespace = (await room.exec(['readlink', '/proc/self/ns/pid'])).stdout.trim();
  // One that has left its session and its parents, as daemons do.
  await room.exec(['sh', '-c', 'setsid sh -c "sleep 600 & sleep 601" >/dev/null 2>&1 &']);
  room.spawn(['sleep', '602'], '/var/log/sleep.log');
  await eventually('the daemons run', SOON_MS, () => processesIn(pidNamespace).length >= 4);
  await room.close();
  expect(processesIn(pidNamespace)).toEqual([]);
  await room.close();
});

test('an owner that is killed leaves no process in the room', async () => {
  const module = (name: string) => JSON.stringify(new URL(`../../dist/agent/${name}`, import.meta.url).href);
  const program = `const { Lab } = await import(${module('demo/lab.js')});
    const { NodeRoom } = await import(${module('bench/node-room.js')});
    const lab = await Lab.create({ nodes: ['a'], volumeBytes: 8 << 20, tag: 'room' });
    const room = await NodeRoom.open(lab, 'a', ${JSON.stringify(directory)});
    room.spawn(['sleep', '600'], '/var/log/sleep.log');
    console.log((await room.exec(['readlink', '/proc/self/ns/pid'])).stdout.trim());`;
  const owner = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const pidNamespace = line.toString().trim();
  await eventually('the daemon runs', SOON_MS, () =>
    processesIn(pidNamespace).some((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep')),
  );
  owner.kill('SIGKILL');
  await eventually('all have ended', SOON_MS, () => processesIn(pidNamespace).length === 0);
  removeLeftovers();
});
