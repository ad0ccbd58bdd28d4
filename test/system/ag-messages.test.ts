/**
 * [AG3] [AG9] on the real program: messages of programs go through the write buffer when the network is out, in order and
 * each once, and every one of them is reported as delivered or counted as missed.
 */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect, MESSAGE_BYTES_MAX, type Client, type Message, type Report } from '../../agent/client/index.ts';
import { CLI_PATH } from '../../agent/demo/lab.ts';
import { heartbeatStream, tcpTransfer } from '../../agent/demo/workload.ts';
import { UNREPORTED_MAX } from '../../agent/messages/program-connection.ts';
import { Cluster, eventually, SOON_MS } from '../support/cluster.ts';
import { Prng } from '../../agent/base/prng.ts';

const OVERRIDES = { primary: { probe: { stableForMs: 500, stableForMaxMs: 500 } }, messages: { deadlineMs: 5000 } };
const MESSAGES = 20;
/** Of 20 KB, as lines, that lie in the two ends of a Unix socket. */
const SOCKET_MESSAGES_MAX = 64;
const NOT_SENT = Uint8Array.of(1, 2, 3);

let cluster: Cluster;
const clients: Client[] = [];
beforeAll(async () => {
  cluster = await Cluster.start({ tag: 'messages' }, OVERRIDES);
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map(async (client) => client.close()));
  await cluster.lab.heal();
  await cluster.untilPath('network');
});
afterAll(async () => cluster?.close());

const socketOf = (node: string): string => `${cluster.lab.directory}/${node}.messages.sock`;

async function program(node: string, channel: string, count?: number): Promise<Client> {
  const client = await connect({ socket: socketOf(node), channel, ...(count === undefined ? {} : { count }) });
  clients.push(client);
  return client;
}

async function listener(node: string, channel: string, count?: number): Promise<Client> {
  const client = await program(node, channel, count);
  await client.subscribe();
  return client;
}

async function readMany(client: Client, count: number): Promise<Message[]> {
  const messages: Message[] = [];
  while (messages.length < count) {
    const message = await client.read();
    if (!message) throw new Error(`the connection ended after ${messages.length} messages: ${client.error}`);
    messages.push(message);
  }
  return messages;
}

type Figures = Record<
  'sent' | 'delivered' | 'missed' | 'late' | 'received' | 'untaken' | 'waiting' | 'clients',
  number
>;
const figures = async (node: string): Promise<Figures> =>
  ((await cluster.lab.status(node)) as unknown as { messages: Figures }).messages;

function contentOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  new Prng(seed).fill(bytes);
  return bytes;
}

const text = ({ bytes }: Message): string => Buffer.from(bytes).toString();
const delivered = (reports: readonly Report[]): number => reports.filter((report) => report.delivered).length;

async function cut(): Promise<void> {
  await cluster.lab.cut('silent');
  await cluster.untilPath('storage');
}

describe('messages between programs', () => {
  test('[AG3] with the network cut 20 of 20 in a burst arrive through storage, in order, each once, each reported', async () => {
    await cut();
    const [writer, reader] = [await program('a', 'jobs'), await listener('b', 'jobs')];
    const before = await cluster.status('a');
    const writes = Array.from({ length: MESSAGES }, async (_, i) => writer.write('b', 'data', `job ${i}`));
    const messages = await readMany(reader, MESSAGES);
    expect(messages.map(text)).toEqual(Array.from({ length: MESSAGES }, (_, i) => `job ${i}`));
    expect(messages[0]).toMatchObject({ peer: 'a', type: 'data', channel: 'jobs' });
    expect(delivered(await Promise.all(writes))).toBe(MESSAGES);
    // It was the write buffer's way: batches were written, and nothing but storage was there.
    expect((await cluster.status('a')).storage.batches).toBeGreaterThan(before.storage.batches);
  });

  test('[AG9] over storage one after another: each is reported before the next is written', async () => {
    await cut();
    const [writer, reader] = [await program('a', 'jobs'), await listener('b', 'jobs')];
    const before = await figures('a');
    const reading = readMany(reader, MESSAGES);
    for (let i = 0; i < MESSAGES; i++) {
      expect(await writer.write('b', 'heartbeat', `beat ${i}`)).toMatchObject({ delivered: true });
    }
    expect((await reading).map(text)).toEqual(Array.from({ length: MESSAGES }, (_, i) => `beat ${i}`));
    const after = await figures('a');
    expect([after.sent - before.sent, after.delivered - before.delivered, after.missed - before.missed]).toEqual([
      MESSAGES,
      MESSAGES,
      0,
    ]);
  });

  test.each(['heartbeat', 'data', 'bulk'] as const)(
    '[AG3] %s of any length up to the longest arrives unaltered, beside IP packets, over a cut and the return',
    async (type) => {
      const [writer, reader] = [await program('a', 'sizes'), await listener('b', 'sizes')];
      const sizes = [0, 1, 7, 8, 1400, 1501, 4096, 32_768, MESSAGE_BYTES_MAX - 1, MESSAGE_BYTES_MAX];
      const rounds = 12;
      const heartbeats = await heartbeatStream(cluster.lab, { from: 'a', to: 'b', perSecond: 100 });
      const transfer = await tcpTransfer(cluster.lab, { from: 'a', to: 'b', bytesPerSecond: 5e6 });
      const sent = Array.from({ length: rounds * sizes.length }, (_, i) => contentOf(i, sizes[i % sizes.length] ?? 0));
      const reading = readMany(reader, sent.length);
      const reports: Promise<Report>[] = [];
      for (const [i, bytes] of sent.entries()) {
        if (i === 3 * sizes.length) await cluster.lab.cut('silent');
        if (i === 8 * sizes.length) await cluster.lab.heal();
        reports.push(writer.write('b', type, bytes));
        await delay(10);
      }
      const got = await reading;
      // Ended before anything is judged: they would hold their ports against the next test.
      const [moved, beats] = [await transfer.stop(), await heartbeats.stop()];
      expect(got.map(({ bytes }, i) => Buffer.compare(bytes, sent[i] ?? NOT_SENT))).toEqual(sent.map(() => 0));
      expect(delivered(await Promise.all(reports))).toBe(sent.length);
      expect(moved).toMatchObject({ survived: true, corrupted: 0 });
      expect(beats).toMatchObject({ lost: 0, duplicated: 0, corrupted: 0 });
    },
  );

  test('[AG9] a peer that stands still: a counted miss, told to the writer within the deadline', async () => {
    const [writer, reader] = [await program('a', 'jobs'), await listener('b', 'jobs')];
    const before = await figures('a');
    const pid = cluster.lab.agentPid('b');
    process.kill(pid, 'SIGSTOP');
    try {
      const began = performance.now();
      const reports = await Promise.all([1, 2, 3].map(async () => writer.write('b', 'data', 'x', { deadlineMs: 300 })));
      expect(reports).toEqual(Array.from({ length: 3 }, () => ({ delivered: false, reason: 'deadline' })));
      expect(performance.now() - began).toBeGreaterThanOrEqual(299);
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    expect((await figures('a')).missed - before.missed).toBe(3);
    await cluster.untilPath('network');
    await reader.close();
  });

  test('[AG9] what is read after the deadline is a miss, and counts as late besides', async () => {
    const [writer, reader] = [await program('a', 'slow'), await listener('b', 'slow')];
    const before = await figures('a');
    expect(await writer.write('b', 'data', 'x', { deadlineMs: 100 })).toEqual({ delivered: false, reason: 'deadline' });
    expect(text((await reader.read()) as Message)).toBe('x');
    await eventually('the late report', SOON_MS, async () => (await figures('a')).late === before.late + 1);
    expect((await figures('a')).missed - before.missed).toBe(1);
  });

  test('[AG9] nobody listens: the writer is told so; a program that comes in time finds it, one that comes late does not', async () => {
    const writer = await program('a', 'nobody');
    expect(await writer.write('b', 'data', 'x', { deadlineMs: 100 })).toEqual({
      delivered: false,
      reason: 'no receiver',
    });
    await eventually('it is too old to be kept', SOON_MS, async () => (await figures('b')).waiting === 0);
    const early = writer.write('b', 'data', 'in time');
    await eventually('it waits', SOON_MS, async () => (await figures('b')).waiting === 1);
    const reader = await listener('b', 'nobody');
    expect(text((await reader.read()) as Message)).toBe('in time');
    expect(await early).toMatchObject({ delivered: true });
  });

  test('every program on a channel gets a copy; one that wants two leaves the rest to others', async () => {
    const writer = await program('a', 'all');
    const [first, second] = [await listener('b', 'all'), await listener('b', 'all', 2)];
    const reports = [0, 1, 2, 3].map(async (i) => writer.write('b', 'data', `${i}`));
    expect((await readMany(first, 4)).map(text)).toEqual(['0', '1', '2', '3']);
    expect((await readMany(second, 2)).map(text)).toEqual(['0', '1']);
    expect(delivered(await Promise.all(reports))).toBe(4);
  });

  test('both directions at once, more than may be on their way: nobody waits for the other for ever', async () => {
    const [onA, onB] = [await listener('a', 'both'), await listener('b', 'both')];
    const count = 300;
    const reading = [readMany(onA, count), readMany(onB, count)];
    const reports = Array.from({ length: count }, (_, i) => i).flatMap((i) => [
      onA.write('b', 'data', `${i}`),
      onB.write('a', 'data', `${i}`),
    ]);
    for (const messages of await Promise.all(reading)) {
      expect(messages.map(text)).toEqual(Array.from({ length: count }, (_, i) => `${i}`));
    }
    expect(delivered(await Promise.all(reports))).toBe(2 * count);
  });

  test('what cannot be sent at all is refused by name', async () => {
    const writer = await program('a', '');
    await expect(writer.write('c', 'data', 'x')).rejects.toThrow("no peer c: this node's peers are b");
    await expect(writer.write('b', 'data', new Uint8Array(MESSAGE_BYTES_MAX + 1))).rejects.toThrow('60001 bytes');
    await expect(writer.write('b', 'control' as 'data', 'x')).rejects.toThrow('type is heartbeat, data or bulk');
    await expect(writer.write('b', 'data', 'x', { channel: 'c'.repeat(65) })).rejects.toThrow('at most 64 bytes');
    await expect(writer.write('b', 'data', 'x', { deadlineMs: 0 })).rejects.toThrow('deadlineMs is a number from 1');
  });

  test('another agent in this process: connections stay, and what is written meanwhile goes afterwards', async () => {
    const [writer, reader] = [await program('a', 'again'), await listener('b', 'again')];
    const { incarnation } = await cluster.status('a');
    cluster.lab.writeSettings('a', { ...OVERRIDES, vnic: { mtu: 1400 } });
    process.kill(cluster.lab.agentPid('a'), 'SIGHUP');
    const reading = readMany(reader, 1);
    await eventually(
      'the agent is another one',
      SOON_MS,
      async () => (await cluster.status('a')).incarnation !== incarnation,
    );
    await cluster.untilPath('network');
    expect(await writer.write('b', 'data', 'after')).toMatchObject({ delivered: true });
    expect((await reading).map(text)).toEqual(['after']);
  });
});

test('SIGHUP: another deadline and another socket count from then on, without a restart', async () => {
  const { incarnation } = await cluster.status('a');
  const socket = `${cluster.lab.directory}/other.sock`;
  cluster.lab.writeSettings('a', { ...OVERRIDES, vnic: { mtu: 1400 }, messages: { socket, deadlineMs: 50 } });
  process.kill(cluster.lab.agentPid('a'), 'SIGHUP');
  const writer = await eventually('it listens there', SOON_MS, async () => connect({ socket, channel: 'nobody' }));
  clients.push(writer);
  const began = performance.now();
  expect(await writer.write('b', 'data', 'x')).toMatchObject({ delivered: false });
  expect(performance.now() - began).toBeLessThan(OVERRIDES.messages.deadlineMs);
  expect((await cluster.status('a')).incarnation).toBe(incarnation);
  cluster.lab.writeSettings('a', { ...OVERRIDES, vnic: { mtu: 1400 } });
  process.kill(cluster.lab.agentPid('a'), 'SIGHUP');
  await eventually('it listens where it did', SOON_MS, async () =>
    (await connect({ socket: socketOf('a') })).close().then(() => true),
  );
});

describe('programs that do wrong', () => {
  async function rawProgram(node: string): Promise<{ socket: Socket; said: () => string }> {
    const socket = createConnection(socketOf(node));
    await once(socket, 'connect');
    let said = '';
    socket.on('error', () => {});
    socket.on('data', (piece: Buffer) => (said += piece.toString()));
    return { socket, said: () => said };
  }

  const cutLines = (node: string): string[] =>
    cluster.lab
      .agentLog(node)
      .split('\n')
      .filter((line) => line.includes('a program was cut off'));

  /** While `wrong` happens, packets and the messages of others go on, and the agent lives. */
  async function nobodyElseSuffers(wrong: () => Promise<void>): Promise<void> {
    const stream = await heartbeatStream(cluster.lab, { from: 'a', to: 'b', perSecond: 100 });
    const [writer, reader] = [await program('a', 'good'), await listener('b', 'good')];
    const reports: Promise<Report>[] = [];
    const ended = wrong().then(() => true);
    const reading = (async () => {
      for (let i = 0; ; i++) expect(text((await reader.read()) as Message)).toBe(`${i}`);
    })().catch((error: unknown) => error);
    for (let i = 0; !(await Promise.race([ended, delay(5).then(() => false)])); i++) {
      reports.push(writer.write('b', 'data', `${i}`));
    }
    expect(delivered(await Promise.all(reports))).toBe(reports.length);
    expect(reports.length).toBeGreaterThan(0);
    expect(await stream.stop()).toMatchObject({ lost: 0, duplicated: 0 });
    await reader.close();
    await reading;
  }

  test.each([
    ['no JSON', 'hello\n'],
    ['no object', '17\n'],
    ['no word of the protocol', '{"shout":1}\n'],
    ['bytes', '\u0000\u00ff\u0001\n'],
    ['a line without an end', 'x'.repeat(200_000)],
    ['a channel that is none', '{"subscribe":7}\n'],
    [
      'a number twice',
      '{"write":1,"peer":"b","type":"data","channel":"none","bytes":"","deadlineMs":2000}\n'.repeat(2),
    ],
  ])('garbage (%s): told in one line, cut off, one line in the log', async (_name, garbage) => {
    const lines = cutLines('a').length;
    const { socket, said } = await rawProgram('a');
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.write(garbage);
    await closed;
    expect(said()).toMatch(/^\{"error":"[^\n]+"\}\n$/);
    await eventually('the line in the log', SOON_MS, () => cutLines('a').length === lines + 1);
    expect(await cluster.ping('a', 'b')).toBe(true);
  });

  test('one that never reads is cut off with one line; others and packets do not notice', async () => {
    const lines = cutLines('b').length;
    await nobodyElseSuffers(async () => {
      const { socket } = await rawProgram('b');
      socket.write('{"subscribe":"deaf"}\n');
      socket.pause();
      const writer = await program('a', 'deaf');
      for (let i = 0; cutLines('b').length === lines && i < 500; i++) {
        await writer.drained();
        void writer.write('b', 'data', new Uint8Array(20_000), { deadlineMs: 200 });
        await delay(5);
      }
      socket.destroy();
    });
    expect(cutLines('b').slice(lines)).toHaveLength(1);
    expect(cutLines('b').at(-1)).toMatch(/it has not read \d+ bytes/);
  });

  test('one that floods and never reads its reports is not read any more; others and packets do not notice', async () => {
    const before = await figures('a');
    await nobodyElseSuffers(async () => {
      const { socket } = await rawProgram('a');
      socket.pause();
      const bytes = Buffer.alloc(20_000).toString('base64');
      let written = 0;
      const flood = async (fields: string): Promise<void> => {
        for (const end = performance.now() + 1000; performance.now() < end;) {
          if (socket.writableNeedDrain) await delay(5);
          else socket.write(`{"write":${written++},"peer":"b","type":"bulk","channel":"flood",${fields}}\n`);
        }
      };
      await flood(`"deadlineMs":50,"bytes":"${bytes}"`);
      await flood('"deadlineMs":50,"bytes":""');
      // Nobody there listens, and nothing is reported before the deadline: what goes on is bounded by that.
      const passed = written;
      await flood(`"deadlineMs":60000,"bytes":"${bytes}"`);
      expect(socket.writableNeedDrain).toBe(true);
      expect(written - passed).toBeLessThan(UNREPORTED_MAX + SOCKET_MESSAGES_MAX);
      socket.destroy();
    });
    expect((await figures('a')).sent).toBeGreaterThan(before.sent + UNREPORTED_MAX);
    expect(cluster.lab.agentEnded('a')).toBeNull();
  });

  test('more connections than there is room for are refused in a line, and leave room when they go', async () => {
    // The one that flooded is noticed to be gone when it would be told something.
    const there = (await figures('a')).clients;
    const many = await Promise.all(Array.from({ length: 64 - there }, async () => rawProgram('a')));
    await eventually('all are there', SOON_MS, async () => (await figures('a')).clients === 64);
    const { socket, said } = await rawProgram('a');
    await once(socket, 'close');
    expect(said()).toMatch(/^\{"error":"64 programs are connected/);
    for (const each of many) each.socket.destroy();
    await eventually('they are gone', SOON_MS, async () => (await figures('a')).clients < 64);
  });
});

const COMMANDS = 5;

describe('stillbeat send and stillbeat receive', () => {
  const { execPath } = process;

  test('[AG3] [AG9] commands one after another with the network cut: all arrive, in order', async () => {
    await cut();
    const { lab } = cluster;
    const receiver = lab.spawn(
      'b',
      [
        execPath,
        CLI_PATH,
        'receive',
        '--socket',
        socketOf('b'),
        '--channel',
        'shell',
        '--count',
        String(COMMANDS),
        '--json',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    receiver.stdout?.on('data', (piece: Buffer) => (output += piece.toString()));
    const ended = once(receiver, 'exit');
    await eventually('it listens', SOON_MS, async () => (await figures('b')).clients === 1);
    for (let i = 0; i < COMMANDS; i++) {
      const args = [
        'send',
        'b',
        '--channel',
        'shell',
        '--type',
        'heartbeat',
        '--config',
        lab.settingsPath('a'),
        `job ${i}`,
      ];
      const { status, stdout, stderr } = await lab.stillbeat('a', args);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^delivered to b after [\d.]+ ms\n$/);
    }
    expect(await ended).toEqual([0, null]);
    const messages = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { bytes: string; peer: string });
    expect(messages.map(({ bytes }) => Buffer.from(bytes, 'base64').toString())).toEqual(
      Array.from({ length: COMMANDS }, (_, i) => `job ${i}`),
    );
    expect(messages[0]).toMatchObject({ peer: 'a', type: 'heartbeat', channel: 'shell' });
  });

  test('send takes standard input, and says in one line why a message was not delivered', async () => {
    const { lab } = cluster;
    const socket = ['--socket', socketOf('a')];
    const untaken = await lab.stillbeat('a', ['send', 'b', '--channel', 'nobody', ...socket, 'x']);
    expect([untaken.status, untaken.stderr]).toEqual([
      1,
      'stillbeat: not delivered to b: no program there listens on this channel: start one, such as "stillbeat receive"\n',
    ]);
    const refusals: [string[], number, RegExp][] = [
      [['send', 'c', ...socket, 'x'], 1, /^stillbeat: send: no peer c: this node's peers are b\n$/],
      [
        ['send', 'b', '--type', 'control', ...socket, 'x'],
        2,
        /^stillbeat: send: no type control: use heartbeat, data, bulk; usage:.*\n$/,
      ],
      [['send', ...socket], 2, /^stillbeat: send: PEER .*needed; usage: .*\n$/],
      [
        ['send', 'b', '--socket', '/nowhere/x.sock', 'x'],
        1,
        /^stillbeat: messages socket \/nowhere\/x.sock: .*"stillbeat run"\n$/,
      ],
      [['receive', '--count', '0', ...socket], 2, /^stillbeat: receive: --count 0 is no number; usage: .*\n$/],
    ];
    for (const [args, expected, line] of refusals) {
      const { status, stderr } = await lab.stillbeat('a', args);
      expect([args, status]).toEqual([args, expected]);
      expect(stderr).toMatch(line);
    }
    const reader = await listener('b', 'piped');
    const sending = lab.spawn('a', [execPath, CLI_PATH, 'send', 'b', '--channel', 'piped', ...socket, '-'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    sending.stdin?.end('from a pipe\n');
    const exited = once(sending, 'exit');
    // A message that is lost must fail the test with the command's status, not hang it.
    const got = await Promise.race([reader.read(), exited]);
    expect(got).toMatchObject({ bytes: new Uint8Array(Buffer.from('from a pipe\n')) });
    expect(await exited).toEqual([0, null]);
  });
});
