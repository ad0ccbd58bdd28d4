/**
 * One node's end of heartbeats between all nodes, in its process (`traffic-entry.ts`): it sends to each peer, and counts
 * what comes from each. What it is told on stdin: `{"begin":true}` when all are there to listen; `{"stop":true}`, and it
 * says how much it has sent; `{"expect":{PEER:N,…}}`, and it finishes when it has all of it or has waited long enough.
 */
import { createSocket, type Socket } from 'node:dgram';
import { StreamCounter, encodeStreamPacket } from './stream-packet.ts';
import type { TrafficRole } from './traffic-role.ts';

export type MeshRole = Extract<TrafficRole, { role: 'mesh' }>;

export interface MeshPorts {
  readonly say: (event: string, figures?: Readonly<Record<string, unknown>>) => void;
  readonly finish: (figures: Readonly<Record<string, unknown>>) => void;
  /** Calls back when the process is to end, and for each line of stdin. */
  readonly listen: (onStop: () => void, onLine: (line: string) => void) => void;
}

const PACKET_BYTES = 64;
/** On a busy host this process may not run for a second, and nothing that arrived is to count as lost for it. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
const PROGRESS_MS = 200;
const EXPECT_TIMEOUT_MS = 2500;

interface Peer {
  readonly node: string;
  readonly address: string;
  readonly counter: StreamCounter;
}

export function runMesh(role: MeshRole, { say, finish, listen }: MeshPorts): void {
  const peers = role.peers.map((peer): Peer => ({ ...peer, counter: new StreamCounter() }));
  const byAddress = new Map(peers.map((peer) => [peer.address, peer]));
  const socket = createSocket({
    type: 'udp4',
    lookup: (host, _options, answer) => answer(null, host, 4),
    recvBufferSize: RECEIVE_BUFFER_BYTES,
  });
  const sender = new MeshSender(socket, role, peers);
  const each = <T>(figure: (peer: Peer) => T): Record<string, T> =>
    Object.fromEntries(peers.map((peer) => [peer.node, figure(peer)]));
  let expected: Readonly<Record<string, number>> | null = null;
  const end = (): void => finish({ sent: sender.sent, from: each(({ counter }) => counter.report) });
  const endIfAll = (): void => {
    const goal = expected;
    if (goal && peers.every(({ node, counter }) => counter.counts.received >= (goal[node] ?? 0))) end();
  };
  socket.on('message', (packet, { address }) => {
    byAddress.get(address)?.counter.arrived(packet, process.hrtime.bigint());
    endIfAll();
  });
  socket.bind(role.port, role.address, () => say('ready'));
  setInterval(() => say('progress', { sent: sender.sent, from: each(({ counter }) => counter.counts) }), PROGRESS_MS);
  listen(end, (line) => {
    const told = JSON.parse(line) as { begin?: true; stop?: true; expect?: Readonly<Record<string, number>> };
    if (told.begin) {
      sender.begin();
      say('begun');
    }
    if (told.stop) {
      sender.stop();
      say('stopped', { sent: sender.sent });
    }
    if (!told.expect) return;
    expected = told.expect;
    setTimeout(end, EXPECT_TIMEOUT_MS);
    endIfAll();
  });
}

/** Sends packet n to each peer at start + n × interval; what was held up is made good at once. */
class MeshSender {
  readonly #socket: Socket;
  readonly #role: MeshRole;
  readonly #peers: readonly Peer[];
  readonly #packet = Buffer.alloc(PACKET_BYTES);
  #timer: NodeJS.Timeout | undefined;
  #startMs = 0;
  /** To each peer. */
  sent = 0;

  constructor(socket: Socket, role: MeshRole, peers: readonly Peer[]) {
    this.#socket = socket;
    this.#role = role;
    this.#peers = peers;
  }

  begin(): void {
    this.#startMs = performance.now();
    const turn = (): void => {
      const due = Math.floor(((performance.now() - this.#startMs) * this.#role.perSecond) / 1000);
      while (this.sent <= due) this.#sendOne();
      this.#timer = setTimeout(turn, 1000 / this.#role.perSecond / 2);
    };
    turn();
  }

  #sendOne(): void {
    encodeStreamPacket(this.#packet, this.sent++, process.hrtime.bigint());
    // A packet that the kernel refuses counts as sent all the same: it will be missing.
    for (const { address } of this.#peers) {
      this.#socket.send(Buffer.from(this.#packet), this.#role.port, address, () => {});
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
