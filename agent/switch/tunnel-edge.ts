/** Joins the UDP socket to the peers' tunnels: which datagram is whose, where each peer is, how long datagrams may be. */
import { ERRNO } from '../platform/native.ts';
import { socketAddress, type UdpSocket } from '../platform/udp-socket.ts';
import type { PeerLink } from '../core/peer-link.ts';
import { tunnelSeal, type Seat, type ThreadContext } from '../threads.ts';
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

interface Tunnel {
  readonly node: string;
  readonly seat: number;
  readonly nodeNumber: number;
  readonly link: PeerLink;
  readonly sender: TunnelSender;
  readonly fullBytes: number;
  address: Uint8Array;
}

export class TunnelEdge {
  readonly socket: UdpSocket;
  readonly counters: TunnelEdgeCounters = { strangers: 0, sendErrors: 0, lastSendErrno: 0 };
  readonly #mtu: number;
  #tunnels: readonly Tunnel[] = [];
  /** By node: the last counter of a tunnel that is gone. Kept for as long as this incarnation and its keys live. */
  readonly #spent = new Map<string, number>();
  readonly #byNumber = new Map<number, PeerLink>();
  #nowMs = 0;
  #shrunkMs = Infinity;

  constructor(socket: UdpSocket, mtu: number) {
    this.socket = socket;
    this.#mtu = mtu;
  }

  /** Gives a peer's link its tunnel. */
  attach(context: ThreadContext, { seat, peer, nodeNumber }: Seat, link: PeerLink): void {
    if (!peer.primary) return;
    const { settings, incarnation } = context;
    const overhead = OVERHEAD_BYTES[peer.primary.host.includes(':') ? 6 : 4];
    const fullBytes = Math.max(SEGMENT_BYTES_MIN, this.#mtu - overhead);
    const sender = new TunnelSender(
      tunnelSeal(context, incarnation, settings.node, peer.node),
      context.nodeNumber,
      incarnation,
      fullBytes,
      this.socket.out,
      (_bytes, length, segmentBytes) => this.#transmit(tunnel, length, segmentBytes),
      this.#spent.get(peer.node),
    );
    const receiver = new TunnelReceiver(
      (theirs) => tunnelSeal(context, theirs, peer.node, settings.node),
      (session, message) => link.message(session.incarnation, message, this.#nowMs),
    );
    const address = socketAddress(peer.primary.host, peer.primary.port);
    const tunnel: Tunnel = { node: peer.node, seat, nodeNumber, link, sender, fullBytes, address };
    this.#tunnels = [...this.#tunnels, tunnel];
    link.attachTunnel(sender, receiver);
    this.#byNumber.set(nodeNumber, link);
  }

  /** The peer is no longer spoken to, nor listened to. */
  detach(seat: number): void {
    const tunnel = this.#tunnels.find((each) => each.seat === seat);
    if (!tunnel) return;
    this.#tunnels = this.#tunnels.filter((each) => each !== tunnel);
    this.#spent.set(tunnel.node, tunnel.sender.spent);
    if (this.#byNumber.get(tunnel.nodeNumber) === tunnel.link) this.#byNumber.delete(tunnel.nodeNumber);
  }

  /** Where the peer is from now on. */
  readdress({ seat, peer }: Seat): void {
    const tunnel = this.#tunnels.find((each) => each.seat === seat);
    if (tunnel && peer.primary) tunnel.address = socketAddress(peer.primary.host, peer.primary.port);
  }

  /** Only "no room" holds a lane back; whatever else the network answers, these datagrams are lost as on any network. */
  #transmit({ sender, address }: Tunnel, length: number, segmentBytes: number): boolean {
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
    for (const { sender, fullBytes } of this.#tunnels) sender.segmentBytes = fullBytes;
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
    for (const { link } of this.#tunnels) link.unblock();
  }

  get isBlocked(): boolean {
    return this.#tunnels.some(({ link }) => link.isSendBlocked);
  }

  get segmentBytes(): number {
    return this.#tunnels[0]?.sender.segmentBytes ?? 0;
  }
}
