/**
 * Asks one host's kernel for an ICMP echo and hears the answer, without blocking. It tells a dead agent from a dead
 * network within milliseconds. Needs CAP_NET_RAW or a place in net.ipv4.ping_group_range; where both lack, nobody answers.
 */
import { isIPv6 } from 'node:net';
import { sys } from './native.ts';
import { socketAddress } from './udp-socket.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_RAW = 3;
const SOCK_DGRAM = 2;
const NONBLOCK_CLOEXEC = 0o4000 | 0o2000000;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const ECHO = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;
const ECHO_BYTES = 16;
/** What was not read for a while is other programs' pings; no more of them are looked at in one go. */
const READS_MAX = 64;

export class EchoSocket {
  readonly #fd: number;
  readonly #family: 4 | 6;
  /** Raw IPv4 sockets hand over the IP header too. */
  readonly #isRaw: boolean;
  /** Tells our echoes from those of other programs and of former agents. */
  readonly #token: number;
  readonly #request = new Uint8Array(ECHO_BYTES);
  readonly #answer = new Uint8Array(2048);
  #sequence = 0;

  constructor(host: string, token: number) {
    this.#family = isIPv6(host) ? 6 : 4;
    this.#token = token >>> 0;
    const domain = this.#family === 6 ? AF_INET6 : AF_INET;
    const protocol = this.#family === 6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    const raw = sys.socket(domain, SOCK_RAW | NONBLOCK_CLOEXEC, protocol);
    this.#isRaw = raw >= 0;
    this.#fd = raw >= 0 ? raw : sys.socket(domain, SOCK_DGRAM | NONBLOCK_CLOEXEC, protocol);
    const address = socketAddress(host, 0);
    if (this.#fd >= 0) sys.connect(this.#fd, address, address.length);
  }

  ask(): void {
    if (this.#fd < 0) return;
    const request = this.#request;
    const view = new DataView(request.buffer);
    request[0] = ECHO[this.#family].request;
    view.setUint16(2, 0, false);
    view.setUint16(4, this.#token & 0xffff, false);
    view.setUint16(6, ++this.#sequence & 0xffff, false);
    view.setUint32(8, this.#token, false);
    // The kernel itself fills in the checksum of ICMPv6 and of ping sockets.
    if (this.#family === 4) view.setUint16(2, checksum(view), false);
    sys.write(this.#fd, request, request.length);
  }

  /** Whether the host has answered since the last look. */
  hasAnswered(): boolean {
    if (this.#fd < 0) return false;
    let answered = false;
    for (let i = 0; i < READS_MAX; i++) {
      const got = sys.read(this.#fd, this.#answer, this.#answer.length);
      if (got <= 0) break;
      const start = this.#family === 4 && this.#isRaw ? ((this.#answer[0] ?? 0) & 15) * 4 : 0;
      answered ||= this.#isOurs(start, got);
    }
    return answered;
  }

  #isOurs(start: number, end: number): boolean {
    if (end - start < ECHO_BYTES || this.#answer[start] !== ECHO[this.#family].reply) return false;
    return new DataView(this.#answer.buffer).getUint32(start + 8, false) === this.#token;
  }

  close(): void {
    if (this.#fd >= 0) sys.close(this.#fd);
  }
}

/** The Internet checksum (RFC 1071) over a message of an even number of bytes. */
function checksum(view: DataView): number {
  let sum = 0;
  for (let i = 0; i < view.byteLength; i += 2) sum += view.getUint16(i, false);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
