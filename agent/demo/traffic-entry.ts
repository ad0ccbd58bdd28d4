/**
 * One end of the lab's traffic, as a process of its own inside a node: its one argument is its role as JSON.
 *
 * On stdout, a line of JSON each: `{"event":"ready"}`, `{"event":"progress",…}` five times a second, and at the end
 * `{"event":"result",…}`. It ends when stdin does, at SIGTERM, or, as a receiver told `{"expect":N}` on stdin, when it
 * has all N packets or has waited long enough for them. A lab that dies thus takes its traffic with it.
 */
import { type Socket as UdpSocket, createSocket } from 'node:dgram';
import { type Socket, connect, createServer, isIPv6 } from 'node:net';
import { runMesh } from './mesh-role.ts';
import { ContentChecker, ContentSource } from './stream-content.ts';
import { StreamCounter, encodeStreamPacket } from './stream-packet.ts';
import type { TrafficRole } from './traffic-role.ts';

const PROGRESS_MS = 200;
/** How long a receiver waits for packets that were sent but have not come. */
const EXPECT_TIMEOUT_MS = 2500;
const NS_PER_MS = 1e6;
/** A rate-limited stream that was held up makes up for at most this much. */
const CATCH_UP_MS = 250;
const CONNECT_TIMEOUT_MS = 5000;
/** How long the last bytes of a TCP stream may take at the end. */
const DRAIN_TIMEOUT_MS = 5000;

type Figures = Readonly<Record<string, unknown>>;

const say = (event: string, figures: Figures = {}): void => {
  process.stdout.write(`${JSON.stringify({ event, ...figures })}\n`);
};
const nowMs = (): number => Number(process.hrtime.bigint()) / NS_PER_MS;

let finished = false;

/** Prints the result and ends the process once it is out. */
function finish(figures: Figures): void {
  if (finished) return;
  finished = true;
  process.stdout.write(`${JSON.stringify({ event: 'result', ...figures })}\n`, () => process.exit(0));
}

/** Calls back once when the process is told to stop, and for each line of stdin before. */
function listen(onStop: () => void, onLine: (line: string) => void = () => {}): void {
  let stopped = false;
  const stop = (): void => {
    if (!stopped) onStop();
    stopped = true;
  };
  process.stdin.setEncoding('utf8').on('data', (text: string) => text.split('\n').filter(Boolean).forEach(onLine));
  process.stdin.on('end', stop).on('error', stop);
  process.on('SIGTERM', stop);
}

/**
 * A UDP socket that sends at once: Node would look up even a literal address. It is never connected, since a connected
 * socket swallows the next packet after an ICMP error.
 */
function udpSocket(family: 4 | 6): UdpSocket {
  return createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    lookup: (host, _options, answer) => answer(null, host, family),
    recvBufferSize: 4 * 1024 * 1024,
  });
}

const familyOf = (address: string): 4 | 6 => (isIPv6(address) ? 6 : 4);

function receiveUdp(role: Extract<TrafficRole, { role: 'udp-receive' }>): void {
  const counter = new StreamCounter();
  let expected = Number.POSITIVE_INFINITY;
  const socket = udpSocket(familyOf(role.address));
  socket.bind(role.port, role.address, () => say('ready'));
  socket.on('message', (packet, sender) => {
    counter.arrived(packet, process.hrtime.bigint());
    if (role.echo) socket.send(packet, sender.port, sender.address);
    if (counter.counts.received >= expected) finish({ ...counter.report });
  });
  setInterval(() => say('progress', { ...counter.counts }), PROGRESS_MS);
  listen(
    () => finish({ ...counter.report }),
    (line) => {
      expected = (JSON.parse(line) as { expect: number }).expect;
      if (counter.counts.received >= expected) finish({ ...counter.report });
      setTimeout(() => finish({ ...counter.report }), EXPECT_TIMEOUT_MS);
    },
  );
}

/**
 * Sends packet n at start + n × interval, whatever happened before: a late wake-up is made good at once and never
 * shifts what follows. Timers of Node are a millisecond coarse, so the last stretch is slept in `Atomics.wait`; with
 * an echo to listen for the timer alone has to do, or the wait would lengthen the round trips.
 */
function sendUdp(role: Extract<TrafficRole, { role: 'udp-send' }>): void {
  const packet = Buffer.alloc(role.bytes);
  const echoes = new StreamCounter();
  const intervalMs = 1000 / role.perSecond;
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const socket = udpSocket(familyOf(role.target));
  let sent = 0;
  let refused = 0;
  let stopped = false;
  if (role.echo) socket.on('message', (echo) => echoes.arrived(echo, process.hrtime.bigint()));
  const figures = (): Figures => ({ sent, refused, ...(role.echo ? { echo: echoes.report } : {}) });
  listen(() => {
    stopped = true;
    // An echo may still be on its way; a sender without echoes has nothing to wait for.
    setTimeout(() => finish(figures()), role.echo ? EXPECT_TIMEOUT_MS / 3 : 0);
  });
  setInterval(() => say('progress', { sent, refused, echoed: echoes.counts }), PROGRESS_MS);
  socket.bind(0, () => {
    say('ready');
    const startMs = nowMs();
    const turn = (): void => {
      if (stopped) return;
      const aheadMs = startMs + sent * intervalMs - nowMs();
      if (aheadMs > 2 || (role.echo && aheadMs > 0)) {
        setTimeout(turn, Math.max(1, aheadMs - 1.5));
        return;
      }
      if (aheadMs > 0.02) Atomics.wait(pause, 0, 0, aheadMs);
      encodeStreamPacket(packet, sent++, process.hrtime.bigint());
      // A packet that the kernel refuses (no route, interface down) counts as sent all the same.
      socket.send(Buffer.from(packet), role.port, role.target, (error) => {
        if (error !== null) refused++;
      });
      setImmediate(turn);
    };
    turn();
  });
}

function receiveTcp(role: Extract<TrafficRole, { role: 'tcp-receive' }>): void {
  const checker = new ContentChecker(role.seed);
  let connections = 0;
  let ended = false;
  let error = '';
  let lastMs = nowMs();
  let longestSilenceMs = 0;
  const figures = (): Figures => ({
    bytes: checker.bytes,
    corrupted: checker.corrupted,
    longestSilenceMs,
    ended,
    error,
  });
  const server = createServer((socket) => {
    connections++;
    lastMs = nowMs();
    if (connections > 1) error = 'a second connection';
    socket.on('data', (piece) => {
      longestSilenceMs = Math.max(longestSilenceMs, nowMs() - lastMs);
      lastMs = nowMs();
      checker.take(piece);
    });
    socket.on('error', (fault) => (error ||= fault.message));
    socket.on('end', () => (ended = true));
    socket.on('close', () => finish(figures()));
  });
  server.listen(role.port, role.address, () => say('ready'));
  setInterval(() => say('progress', figures()), PROGRESS_MS);
  listen(() => finish(figures()));
}

function sendTcp(role: Extract<TrafficRole, { role: 'tcp-send' }>): void {
  const source = new ContentSource(role.seed);
  const socket: Socket = connect({ host: role.target, port: role.port });
  let sent = 0;
  let error = '';
  const figures = (): Figures => ({ bytes: sent, error });
  const fail = setTimeout(() => socket.destroy(new Error('no connection')), CONNECT_TIMEOUT_MS);
  socket.on('error', (fault) => (error ||= fault.message));
  socket.on('close', () => finish(figures()));
  setInterval(() => say('progress', figures()), PROGRESS_MS);
  listen(() => {
    socket.end();
    setTimeout(() => socket.destroy(new Error('the last bytes were not taken')), DRAIN_TIMEOUT_MS);
  });
  const rate = role.bytesPerSecond;
  let startMs = 0;
  const pump = (): void => {
    while (socket.writable) {
      const dueMs = rate === null ? 0 : startMs + (sent / rate) * 1000;
      const aheadMs = rate === null ? 0 : dueMs - nowMs();
      if (aheadMs < -CATCH_UP_MS && rate !== null) startMs -= aheadMs + CATCH_UP_MS;
      if (aheadMs > 0) {
        setTimeout(pump, Math.max(1, aheadMs));
        return;
      }
      const block = source.next();
      sent += block.length;
      if (!socket.write(block)) {
        socket.once('drain', pump);
        return;
      }
    }
  };
  socket.on('connect', () => {
    clearTimeout(fail);
    say('ready');
    startMs = nowMs();
    pump();
  });
}

const role = JSON.parse(process.argv[2] ?? '{}') as TrafficRole;
if (role.role === 'udp-send') sendUdp(role);
else if (role.role === 'udp-receive') receiveUdp(role);
else if (role.role === 'tcp-send') sendTcp(role);
else if (role.role === 'tcp-receive') receiveTcp(role);
else if (role.role === 'mesh') runMesh(role, { say, finish, listen });
