/**
 * A UDP socket through system calls: many datagrams in one call with UDP_SEGMENT and UDP_GRO, which `node:dgram` cannot.
 * Never blocks. For the switch thread.
 */
import { isIPv6 } from 'node:net';
import { AgentError } from '../base/errors.ts';
import { ERRNO, addressOf, errnoName, sys } from './native.ts';
import { alignedMemory } from './memory.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SOL_UDP = 17;
const UDP_SEGMENT = 103;
const UDP_GRO = 104;
const IPPROTO_IP = 0;
const IP_MTU_DISCOVER = 10;
const IPPROTO_IPV6 = 41;
const IPV6_MTU_DISCOVER = 23;
const PMTUDISC_DO = 2;
const BUFFER_BYTES = 16 * 1024 * 1024;

const MSG_OFFSET = { header: 0, iov: 64, name: 96, control: 128 } as const;
const MESSAGE_AREA_BYTES = 256;
const CONTROL_BYTES = 64;
/** A GRO'd burst is at most one IP packet's worth. */
export const RECEIVE_BYTES = 65_536;

/** A socket address as the kernel wants it. */
export function socketAddress(host: string, port: number): Uint8Array {
  if (!isIPv6(host)) {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, AF_INET, true);
    view.setUint16(2, port, false);
    host.split('.').forEach((part, i) => (bytes[4 + i] = Number(part)));
    return bytes;
  }
  const bytes = new Uint8Array(28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET6, true);
  view.setUint16(2, port, false);
  const [head = '', tail] = host.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  front.forEach((group, i) => view.setUint16(8 + i * 2, group, false));
  back.forEach((group, i) => view.setUint16(24 - (back.length - i) * 2, group, false));
  return bytes;
}

/** One direction's msghdr with its iovec, address and control space, in memory that never moves. */
class MessageArea {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly header: Uint8Array;

  constructor(memory: Uint8Array, data: Uint8Array, controlBytes: number) {
    this.bytes = memory;
    this.view = new DataView(memory.buffer, memory.byteOffset, memory.length);
    this.header = memory.subarray(MSG_OFFSET.header, 56);
    const base = addressOf(memory);
    const pointer = (offset: number, value: number) => this.view.setBigUint64(offset, BigInt(value), true);
    pointer(0, base + MSG_OFFSET.name);
    pointer(16, base + MSG_OFFSET.iov);
    pointer(24, 1);
    pointer(32, base + MSG_OFFSET.control);
    pointer(40, controlBytes);
    pointer(MSG_OFFSET.iov, addressOf(data));
  }
}

export class UdpSocket {
  readonly fd: number;
  /** What is to be sent goes here first. */
  readonly out: Uint8Array;
  /** What was received lies here, until the next receive. */
  readonly in: Uint8Array;
  readonly #send: MessageArea;
  readonly #receive: MessageArea;
  /** Size of the datagrams in the last receive (the last one may be shorter). */
  segmentBytes = 0;

  private constructor(fd: number) {
    this.fd = fd;
    const memory = new Uint8Array(alignedMemory(2 * RECEIVE_BYTES + 2 * MESSAGE_AREA_BYTES));
    this.out = memory.subarray(0, RECEIVE_BYTES);
    this.in = memory.subarray(RECEIVE_BYTES, 2 * RECEIVE_BYTES);
    const area = 2 * RECEIVE_BYTES;
    this.#send = new MessageArea(memory.subarray(area, area + MESSAGE_AREA_BYTES), this.out, 24);
    this.#receive = new MessageArea(memory.subarray(area + MESSAGE_AREA_BYTES), this.in, CONTROL_BYTES);
    // cmsghdr of UDP_SEGMENT: length, level, type; the size follows for each call.
    this.#send.view.setBigUint64(MSG_OFFSET.control, 18n, true);
    this.#send.view.setInt32(MSG_OFFSET.control + 8, SOL_UDP, true);
    this.#send.view.setInt32(MSG_OFFSET.control + 12, UDP_SEGMENT, true);
  }

  /** Binds to host and port; throws an AgentError that says what to do. */
  static open(host: string, port: number): UdpSocket {
    const v6 = isIPv6(host);
    const fd = sys.socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
    if (fd < 0) throw new AgentError('primary', `no UDP socket: ${errnoName(fd)}`);
    const option = (level: number, name: number, value: number) => {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setInt32(0, value, true);
      return sys.setsockopt(fd, level, name, bytes, 4);
    };
    if (option(SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) < 0) option(SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
    if (option(SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES) < 0) option(SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
    option(SOL_UDP, UDP_GRO, 1);
    if (v6) option(IPPROTO_IPV6, IPV6_MTU_DISCOVER, PMTUDISC_DO);
    else option(IPPROTO_IP, IP_MTU_DISCOVER, PMTUDISC_DO);
    const address = socketAddress(host, port);
    const bound = sys.bind(fd, address, address.length);
    if (bound < 0) {
      sys.close(fd);
      throw bindError(host, port, bound);
    }
    return new UdpSocket(fd);
  }

  /**
   * Sends the first `length` bytes of `out` to `address` as datagrams of `segmentBytes`. Answers `length` or a negative
   * errno; EAGAIN and ENOBUFS mean "later", anything else that these datagrams are lost.
   */
  send(address: Uint8Array, length: number, segmentBytes: number): number {
    const { view, bytes, header } = this.#send;
    bytes.set(address, MSG_OFFSET.name);
    view.setUint32(8, address.length, true);
    view.setUint32(MSG_OFFSET.iov + 8, length, true);
    const split = length > segmentBytes;
    view.setUint32(40, split ? 24 : 0, true);
    if (split) view.setUint16(MSG_OFFSET.control + 16, segmentBytes, true);
    return sys.sendmsg(this.fd, header, 0);
  }

  /** Receives into `in`: the bytes, 0 when nothing is there, or a negative errno. `segmentBytes` tells where to cut. */
  receive(): number {
    const { view, header } = this.#receive;
    view.setUint32(8, 28, true);
    view.setUint32(MSG_OFFSET.iov + 8, RECEIVE_BYTES, true);
    view.setUint32(40, CONTROL_BYTES, true);
    const got = sys.recvmsg(this.fd, header, 0);
    if (got === -ERRNO.EAGAIN || got === -ERRNO.EINTR) return 0;
    if (got <= 0) return got;
    this.segmentBytes = this.#groSize() || got;
    return got;
  }

  #groSize(): number {
    const { view } = this.#receive;
    const control = view.getUint32(40, true);
    if (control < 20) return 0;
    const at = MSG_OFFSET.control;
    const isGro = view.getInt32(at + 8, true) === SOL_UDP && view.getInt32(at + 12, true) === UDP_GRO;
    return isGro ? view.getInt32(at + 16, true) : 0;
  }

  close(): void {
    sys.close(this.fd);
  }
}

function bindError(host: string, port: number, errno: number): AgentError {
  const where = `primary.listen ${host}:${port}`;
  if (errno === -ERRNO.EADDRINUSE) {
    return new AgentError('primary', `${where} is taken by another program: stop it or choose another port`);
  }
  if (errno === -ERRNO.EADDRNOTAVAIL) {
    return new AgentError(
      'primary',
      `${where} is no address of this host: check primary.listen or configure the interface`,
    );
  }
  return new AgentError('primary', `${where} cannot be bound (${errnoName(errno)}): check primary.listen`);
}
