/** What an operator's tools see of a running agent: hooks, figures, the service manager; and an end that loses nothing. */
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { documentedMetrics, scrapedMetrics, tableOf } from '../support/metrics-tables.ts';
import { NotifyReceiver } from '../support/notify-receiver.ts';
import { refused } from '../support/refusal.ts';

const LISTEN = '127.0.0.1:9477';
let cluster: Cluster;
let overrides: Record<string, unknown>;
const inLab = (name: string): string => join(cluster.lab.directory, name);

beforeAll(async () => {
  cluster = await Cluster.prepare({ tag: 'serve', volumeBytes: 16 << 20 });
  writeHook(TELL);
  overrides = {
    primary: { probe: { stableForMs: 500, stableForMaxMs: 500 } },
    metrics: { listen: LISTEN },
    hooks: { onPath: inLab('hook'), timeoutMs: 1000 },
    corosync: { conf: inLab('corosync.conf') },
    gateway: { offer: true, uplink: 'eth0' },
  };
  writeFileSync(inLab('corosync.conf'), 'totem {\n  token: 500\n}\n');
  await cluster.startAgents(overrides);
});
afterAll(async () => cluster?.close());

const TELL = 'echo "$STILLBEAT_NODE $STILLBEAT_PEER:$STILLBEAT_FROM>$STILLBEAT_TO ($STILLBEAT_REASON)" >> told';

/** The program that both agents run; exchanged as a whole, for it may be running. */
function writeHook(text: string): void {
  writeFileSync(inLab('hook.new'), `#!/bin/sh\ncd ${cluster.lab.directory}\n${text}\n`);
  chmodSync(inLab('hook.new'), 0o755);
  renameSync(inLab('hook.new'), inLab('hook'));
}

const told = (node: string): string[] =>
  existsSync(inLab('told'))
    ? readFileSync(inLab('told'), 'utf8')
        .split('\n')
        .filter((line) => line.startsWith(`${node} `))
    : [];

/** One request from inside a node. */
async function fetchIn(node: string, path: string, method = 'GET'): Promise<{ status: number; text: string }> {
  const program = `fetch('http://${LISTEN}${path}', { method: '${method}' }).then(async (answer) =>
    console.log(JSON.stringify({ status: answer.status, text: await answer.text() })))`;
  const { stdout, stderr } = await cluster.lab.exec(node, [process.execPath, '-e', program]);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as { status: number; text: string };
}

const scrape = async (node = 'a'): Promise<string> => (await fetchIn(node, '/metrics')).text;

/** The agent of node a goes on with these settings. */
async function withSettings(settings: Record<string, unknown>): Promise<void> {
  const before = (await cluster.events('a', 'settings')).length;
  cluster.lab.writeSettings('a', settings);
  process.kill(cluster.lab.agentPid('a'), 'SIGHUP');
  await eventually('they are taken over', SOON_MS, async () => (await cluster.events('a', 'settings')).length > before);
}

describe('hooks', () => {
  test('the state after the start is told, then each change with what was told before, and no suspect', async () => {
    await eventually('the start', SOON_MS, () => told('a').length > 0);
    await cluster.lab.cut('silent');
    await cluster.untilPath('storage', SOON_MS);
    await eventually('storage', SOON_MS, () => told('a').length > 1);
    await cluster.lab.heal();
    await cluster.untilPath('network', SOON_MS);
    await eventually('network again', SOON_MS, () => told('a').at(-1)?.includes('>network'));
    const [start, cut, ...rest] = told('a');
    expect(start).toMatch(/^a b:>network \(.+\)$/);
    // The other side may say first that it hears nothing.
    expect(cut).toMatch(/^a b:network>storage \((3 probes lost|the peer does not hear us)\)$/);
    expect(rest.join()).not.toContain('suspect');
  });

  test('a peer that was never heard of is told too', async () => {
    const { lab } = cluster;
    await lab.stopAgent('b');
    await lab.stopAgent('a');
    const before = told('a').length;
    await lab.startAgent('a', overrides);
    await eventually('it is told', SOON_MS, () => told('a').length > before);
    expect(told('a').at(-1)).toMatch(/^a b:>isolated/);
    await lab.startAgent('b', overrides);
    await cluster.untilPath('network');
  });

  test('one that hangs holds up no packet and no change, is told in the log once, and not waited for at the end', async () => {
    const { lab } = cluster;
    writeHook(`${TELL}; echo $$ > pid; trap '' TERM; while :; do sleep 1; done`);
    await lab.ask('a', { command: 'path', peer: 'b', to: 'storage' });
    await eventually('it hangs', SOON_MS, () => existsSync(inLab('pid')));
    await cluster.untilPath('storage', SOON_MS, ['a']);
    expect(await cluster.ping('a', 'b')).toBe(true);
    const failures = async () => cluster.events('a', 'hook-failed');
    await eventually('it is told', SOON_MS, async () => (await failures()).length > 0);
    expect(await failures()).toMatchObject([{ peer: 'b', reason: 'did not end within 1000 ms' }]);
    expect(lab.agentLog('a').match(/"message":"hook-failed"/g)).toHaveLength(1);
    expect(await scrape()).toMatch(/^stillbeat_hook_runs_total\{result="failed"\} 1$/m);
    await lab.ask('a', { command: 'path', peer: 'b', to: 'auto' });
    const pid = readFileSync(inLab('pid'), 'utf8');
    await eventually('it hangs again', SOON_MS, () => readFileSync(inLab('pid'), 'utf8') !== pid);
    expect(await lab.stopAgent('a')).toBe(0);
    const hung = Number(readFileSync(inLab('pid'), 'utf8'));
    await eventually('it is gone', SOON_MS, () => !existsSync(`/proc/${hung}`));
    writeHook(TELL);
    await lab.startAgent('a', overrides);
    await cluster.untilPath('network');
  });
});

describe('a hook that fails', () => {
  test('is told with its status and its last word, counted, and holds nothing up; so is one that is missing', async () => {
    const { lab } = cluster;
    const toStorage = async (): Promise<void> => {
      await lab.ask('a', { command: 'path', peer: 'b', to: 'storage' });
      await cluster.untilPath('storage', SOON_MS, ['a']);
      expect(await cluster.ping('a', 'b')).toBe(true);
    };
    const failures = async (count: number) =>
      eventually(`${count} are told`, SOON_MS, async () => {
        const found = await cluster.events('a', 'hook-failed');
        return found.length === count && found;
      });
    writeHook('echo no manager >&2; exit 3');
    await toStorage();
    expect(await failures(1)).toMatchObject([{ peer: 'b', reason: 'ended with status 3', said: 'no manager' }]);
    expect(lab.agentLog('a')).toContain('no manager');
    expect(await scrape()).toMatch(/^stillbeat_hook_runs_total\{result="failed"\} 1$/m);
    rmSync(inLab('hook'));
    await lab.ask('a', { command: 'path', peer: 'b', to: 'auto' });
    await cluster.untilPath('network');
    expect((await failures(2))[1]?.['reason']).toMatch(/^is missing/);
    const before = told('a').length;
    writeHook(TELL);
    await toStorage();
    await eventually('the next one is run', SOON_MS, () => told('a').length > before);
    await lab.ask('a', { command: 'path', peer: 'b', to: 'auto' });
    await cluster.untilPath('network');
  });
});

describe('figures', () => {
  test('README names every metric of a live scrape with its labels, and no other', async () => {
    const using = { ...overrides, gateway: { use: ['b'], uplink: 'eth0' } };
    await withSettings(using);
    await eventually('a round trip is known', SOON_MS, async () => (await cluster.peer('a')).network.rttMs !== null);
    await eventually('and what it allows', SOON_MS, async () => (await scrape()).includes('corosync_token_fits'));
    await cluster.lab.cut('silent');
    await cluster.untilPath('storage', SOON_MS);
    await cluster.ping('a', 'b');
    await cluster.lab.heal();
    const live = scrapedMetrics(await scrape());
    expect(Object.fromEntries(live)).toEqual(tableOf(documentedMetrics('Metrics')));
    const others = ['Metrics of copies', 'Metrics of the mirror'].flatMap((heading) => documentedMetrics(heading));
    const served = new Set([...live.keys(), ...others.map(({ name }) => name)]);
    const named = /stillbeat_\w+/g;
    for (const file of ['prometheus/alerts.yml', 'grafana/dashboard.json']) {
      const used = readFileSync(new URL(`../../config/${file}`, import.meta.url), 'utf8').match(named) ?? [];
      expect([file, [...new Set(used)].filter((name) => !served.has(name))]).toEqual([file, []]);
    }
    await cluster.untilPath('network');
    await withSettings(overrides);
  });

  test('they are those of the status document, in seconds', async () => {
    const text = await scrape();
    const status = await cluster.status('a');
    expect(text).toMatch(/^stillbeat_peer_path\{peer="b",path="network"\} 1$/m);
    expect(text).toMatch(/^stillbeat_peer_path\{peer="b",path="storage"\} 0$/m);
    expect(text).toContain(`version="${status.version}"`);
    const writes = Number(/^stillbeat_storage_writes_total (\d+)$/m.exec(text)?.[1]);
    expect(writes).toBeGreaterThan(0);
    expect(writes).toBeLessThanOrEqual(status.storage.writes);
    const lastWrite = Number(/^stillbeat_storage_last_write_seconds (\S+)$/m.exec(text)?.[1]);
    expect(lastWrite).toBeGreaterThan(0);
    expect(lastWrite).toBeLessThan(5);
    expect(text).toMatch(/^# TYPE stillbeat_storage_writes_total counter$/m);
  });

  test('programs’ messages, the peer’s knowledge of us, the gateway and corosync’s token are among them', async () => {
    const { lab } = cluster;
    const figure = async (name: string): Promise<number> => {
      const line = (await scrape()).split('\n').find((each) => each.startsWith(`${name} `));
      return line === undefined ? Number.NaN : Number(line.split(' ').at(-1));
    };
    const before = await figure('stillbeat_messages_missed_total');
    const sent = await lab.stillbeat('a', [
      'send',
      'b',
      '--channel',
      'nobody',
      '--config',
      lab.settingsPath('a'),
      'hello',
    ]);
    expect(sent.status).toBe(1);
    expect(await figure('stillbeat_messages_missed_total')).toBe(before + 1);
    expect(await figure('stillbeat_messages_sent_total')).toBeGreaterThan(0);
    expect(await figure('stillbeat_peer_knows_us{peer="b"}')).toBe(1);
    expect(await figure('stillbeat_peer_key_known{peer="b"}')).toBe(1);
    expect(await figure('stillbeat_peer_bypass_possible{peer="b"}')).toBe(0);
    // No route leads outside the lab.
    expect(await figure('stillbeat_gateway_outside{state="out"}')).toBe(1);
    expect(await figure('stillbeat_gateway_offering')).toBe(0);
    await eventually('the token is judged', SOON_MS, async () => (await figure('stillbeat_corosync_token_fits')) === 0);
    expect(await figure('stillbeat_corosync_token_seconds')).toBe(0.5);
    expect(await figure('stillbeat_corosync_token_min_seconds')).toBeGreaterThanOrEqual(1);
  });

  test('only GET /metrics is served', async () => {
    expect((await fetchIn('a', '/')).status).toBe(404);
    expect((await fetchIn('a', '/metrics/../status')).status).toBe(404);
    expect((await fetchIn('a', '/metrics', 'POST')).status).toBe(405);
    expect((await fetchIn('a', '/metrics?x=1')).status).toBe(200);
  });

  test('a port that is taken refuses the start; at SIGHUP the figures stay where they are', async () => {
    const { lab } = cluster;
    const program = "require('net').createServer().listen(9476, '127.0.0.1', () => console.log('up'))";
    const holder = lab.spawn('a', [process.execPath, '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(holder.stdout!, 'data');
    const taken = { ...overrides, metrics: { listen: '127.0.0.1:9476' } };
    lab.writeSettings('a', taken);
    process.kill(lab.agentPid('a'), 'SIGHUP');
    await eventually('it is told', SOON_MS, async () => (await cluster.events('a', 'metrics-not-moved')).length > 0);
    expect((await cluster.events('a', 'metrics-not-moved'))[0]?.['reason']).toMatch(/127\.0\.0\.1:9476 is taken/);
    await cluster.untilPath('network');
    expect(await scrape()).toContain('stillbeat_info');
    await lab.stopAgent('a');
    const line = /metrics\.listen 127\.0\.0\.1:9476 is taken by another program: choose another port or stop it/;
    await refused(lab, lab.writeSettings('a', taken), 'primary', line);
    const check = await lab.stillbeat('a', ['check', '--config', lab.settingsPath('a')]);
    expect(check.stdout).toMatch(/^error +metrics\.listen +TCP 127\.0\.0\.1:9476 is taken -> .*ss -ltnp/m);
    const ended = once(holder, 'exit');
    holder.kill('SIGKILL');
    await ended;
    await lab.startAgent('a', overrides);
    await cluster.untilPath('network');
  });
});

describe('the service manager', () => {
  test('hears READY, WATCHDOG, STATUS, RELOADING and READY again, STOPPING, at a path', async () => {
    const { lab } = cluster;
    await lab.stopAgent('a');
    const receiver = new NotifyReceiver(inLab('notify'));
    const environment = { NOTIFY_SOCKET: inLab('notify'), WATCHDOG_USEC: '400000' };
    const config = lab.writeSettings('a', overrides);
    const child = lab.spawn('a', [process.execPath, CLI_PATH, 'run', '--config', config], {
      stdio: 'ignore',
      env: { ...process.env, ...environment },
    });
    const heard = (word: string | RegExp): number => receiver.messages.findIndex((message) => !!message.match(word));
    try {
      await eventually('READY', SOON_MS, () => heard(/^READY=1$/) >= 0);
      await eventually('STATUS', SOON_MS, () => heard(/^STATUS=b network$/) >= 0);
      await eventually('WATCHDOG', SOON_MS, () => heard(/^WATCHDOG=1$/) >= 0);
      process.kill(child.pid ?? 0, 'SIGHUP');
      await eventually('RELOADING', SOON_MS, () => heard(/^RELOADING=1\nMONOTONIC_USEC=\d+$/) >= 0);
      await eventually('READY again', SOON_MS, () => receiver.messages.lastIndexOf('READY=1') > heard(/^RELOADING/));
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      expect(await ended).toEqual([0, null]);
      expect(heard(/^STOPPING=1$/)).toBeGreaterThan(0);
    } finally {
      child.kill('SIGKILL');
      receiver.close();
    }
    await lab.startAgent('a', overrides);
    await cluster.untilPath('network');
  });
});

describe('SIGTERM drains', () => {
  const SOCKETS = 20;
  const BURST = 150 * SOCKETS;
  /** All at once, within what each socket may have under way, while the agent is stopped for a moment: it finds the burst and SIGTERM together. */
  const SEND = `
    const [host, port, agent] = process.argv.slice(1);
    const sockets = Array.from({ length: ${SOCKETS} }, () => require('dgram').createSocket('udp4'));
    let connected = 0;
    for (const socket of sockets) socket.connect(Number(port), host, () => ++connected === ${SOCKETS} && send());
    function send() {
      process.kill(Number(agent), 'SIGSTOP');
      for (let i = 0; i < ${BURST}; i++) sockets[i % ${SOCKETS}].send(String(i)); // connected: it goes out at once
      process.kill(Number(agent), 'SIGTERM');
      process.kill(Number(agent), 'SIGCONT');
      setTimeout(() => process.exit(0), 100);
    }`;
  const COUNT = `
    const seen = new Set();
    require('dgram').createSocket({ type: 'udp4', recvBufferSize: 4 << 20 })
      .on('message', (text) => { seen.add(String(text)); console.log(seen.size); })
      .bind(7070, () => console.log('up'));`;

  test.each(['storage', 'network'] as const)(
    'a burst into the interface, then SIGTERM at once: all of it arrives by %s',
    async (way) => {
      const { lab } = cluster;
      const receiver = lab.spawn('b', [process.execPath, '-e', COUNT], { stdio: ['ignore', 'pipe', 'inherit'] });
      let count = '';
      receiver.stdout?.on('data', (piece: Buffer) => (count = piece.toString().trim().split('\n').at(-1) ?? ''));
      await eventually('the receiver is up', SOON_MS, () => count === 'up');
      if (way === 'storage') {
        await lab.cut('silent');
        await cluster.untilPath('storage', SOON_MS);
      }
      const argv = [process.execPath, '-e', SEND, lab.vnicAddress('b'), '7070', String(lab.agentPid('a'))];
      expect((await lab.exec('a', argv)).status).toBe(0);
      await eventually('the agent ends', SOON_MS, () => lab.agentEnded('a') !== null);
      expect(lab.agentEnded('a')).toBe(0);
      await lab.stopAgent('a');
      await eventually(`all arrive, not ${count}`, SOON_MS, () => Number(count) === BURST).catch((error: unknown) => {
        throw new Error(`${count} of ${BURST} have arrived`, { cause: error });
      });
      const ended = once(receiver, 'exit');
      receiver.kill('SIGKILL');
      await ended;
      await lab.heal();
      await lab.startAgent('a', overrides);
      await cluster.untilPath('network');
    },
  );
});
