/** Joins the UDP socket to the peers' tunnels: which datagram is whose, where each peer is, how long datagrams may be. */
import { ERRNO } from '../platform/native.ts';
import { socketAddress, type UdpSocket } from '../platform/udp-socket.ts';
import type { PeerLink } from '../core/peer-link.ts';
import { tunnelSeal, type ThreadContext } from '../threads.ts';
import { datagramSender, TunnelReceiver, TunnelSender } from '../wire/tunnel.ts';

/** IPv6 and UDP headers: what a datagram's payload must leave of the interface's MTU. */
const OVERHEAD_BYTES = { 4: 28, 6: 48 } as const;
/** A path MTU that every network has. */
const SEGMENT_BYTES_MIN = 548;
const RECEIVES_PER_ROUND = 64;
/** As long as the kernel itself remembers a path MTU, and no more often. */
const FULL_SIZE_AGAIN_MS = 60_000;

export interface TunnelEdgeCounters {
  strangers: number;
  sendErrors: number;
  lastSendErrno: number;
}

export class TunnelEdge {
  readonly socket: UdpSocket;
  readonly counters: TunnelEdgeCounters = { strangers: 0, sendErrors: 0, lastSendErrno: 0 };
  readonly #links: readonly PeerLink[];
  readonly #senders: TunnelSender[] = [];
  readonly #byNumber = new Map<number, PeerLink>();
  readonly #fullBytes: number[] = [];
  #nowMs = 0;
  #shrunkMs = Infinity;

  constructor(context: ThreadContext, links: readonly PeerLink[], socket: UdpSocket, mtu: number) {
    this.socket = socket;
    this.#links = links;
    const { settings, incarnation, nodeNumbers } = context;
    settings.peers.forEach((peer, i) => {
      const link = links[i];
      if (!link || !peer.primary) return;
      const address = socketAddress(peer.primary.host, peer.primary.port);
      const overhead = OVERHEAD_BYTES[peer.primary.host.includes(':') ? 6 : 4];
      const sender = new TunnelSender(
        tunnelSeal(context, incarnation, settings.node, peer.node),
        nodeNumbers[0] ?? 0,
        incarnation,
        Math.max(SEGMENT_BYTES_MIN, mtu - overhead),
        socket.out,
        (_bytes, length, segmentBytes) => this.#transmit(sender, address, length, segmentBytes),
      );
      const receiver = new TunnelReceiver(
        (theirs) => tunnelSeal(context, theirs, peer.node, settings.node),
        (session, message) => link.message(session.incarnation, message, this.#nowMs),
      );
      this.#senders.push(sender);
      this.#fullBytes.push(sender.segmentBytes);
      link.attachTunnel(sender, receiver);
      this.#byNumber.set(nodeNumbers[i + 1] ?? 0, link);
    });
  }

  /** Only "no room" holds a lane back; whatever else the network answers, these datagrams are lost as on any network. */
  #transmit(sender: TunnelSender, address: Uint8Array, length: number, segmentBytes: number): boolean {
    const result = this.socket.send(address, length, segmentBytes);
    if (result >= 0) return true;
    if (result === -ERRNO.EAGAIN || result === -ERRNO.ENOBUFS) return false;
    this.counters.sendErrors++;
    this.counters.lastSendErrno = -result;
    if (result === -ERRNO.EMSGSIZE && segmentBytes > SEGMENT_BYTES_MIN) {
      sender.segmentBytes = Math.max(SEGMENT_BYTES_MIN, Math.floor(segmentBytes * 0.85));
      this.#shrunkMs = this.#nowMs;
    }
    return true;
  }

  /** A path that was narrow for a while may be wide again: the full size is tried now and then. */
  #tryFullSize(): void {
    if (this.#nowMs - this.#shrunkMs < FULL_SIZE_AGAIN_MS) return;
    this.#shrunkMs = Infinity;
    this.#senders.forEach((sender, i) => (sender.segmentBytes = this.#fullBytes[i] ?? SEGMENT_BYTES_MIN));
  }

  /** Takes what has arrived, up to a bound; true when there may be more. */
  receive(nowMs: number): boolean {
    this.#nowMs = nowMs;
    this.#tryFullSize();
    const { socket } = this;
    for (let i = 0; i < RECEIVES_PER_ROUND; i++) {
      const got = socket.receive();
      if (got <= 0) return false;
      for (let start = 0; start < got; start += socket.segmentBytes) {
        const end = Math.min(got, start + socket.segmentBytes);
        const link = this.#byNumber.get(datagramSender(socket.in, start, end));
        if (link) link.receiver?.receive(socket.in, start, end, nowMs);
        else this.counters.strangers++;
      }
    }
    return true;
  }

  /** The socket takes more again. */
  unblock(): void {
    for (const link of this.#links) link.unblock();
  }

  get isBlocked(): boolean {
    return this.#links.some((link) => link.isSendBlocked);
  }

  get segmentBytes(): number {
    return this.#senders[0]?.segmentBytes ?? 0;
  }
}
