/**
 * Adds and removes single routes through rtnetlink(7). Made for the switch thread: no program is started, and the
 * kernel has done it, or refused, when the call returns.
 */
import { isIPv6 } from 'node:net';
import { sys } from './native.ts';
import { socketAddress } from './udp-socket.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0o4000 | 0o2000000;
const HEADER_BYTES = 16;
const ROUTE_BYTES = 12;
const NLMSG_ERROR = 2;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const REQUEST_ACK = 1 | 4;
const CREATE_REPLACE = 0x400 | 0x100;
const RTN_UNICAST = 1;
const RTA = { dst: 1, oif: 4, gateway: 5, priority: 6, prefsrc: 7, metrics: 8, table: 15, via: 18 } as const;
const METRIC_LOCK = 1;
const METRIC_RTO_MIN = 13;
const ESRCH = 3;
/** The kernel answers within the call; this many reads are more than it ever leaves. */
const ANSWERS_MAX = 8;

/** A route to one address. */
export interface HostRoute {
  readonly address: string;
  /** The next hop, of either family. */
  readonly via: string;
  /** Our own address that programs speak from. */
  readonly source: string;
}

export interface RoutePlace {
  readonly interfaceIndex: number;
  readonly table: number;
  readonly metric: number;
  /** Who made it (the field "proto" of `ip route`). */
  readonly protocol: number;
  /** Shortest retransmission timer of TCP on it; 0: the kernel's own. */
  readonly rtoMinMs: number;
}

export class RouteSocket {
  readonly #fd: number = sys.socket(AF_NETLINK, SOCK_RAW_NONBLOCK_CLOEXEC, 0);
  readonly #answer = new Uint8Array(4096);
  #sequence = 0;

  /** Adds the route, or puts it in place of one to the same address. Answers 0 or a negative errno. */
  add(route: HostRoute, place: RoutePlace): number {
    return this.#ask(RTM_NEWROUTE, REQUEST_ACK | CREATE_REPLACE, route, place);
  }

  /** Removes the route; that there is none is no error. */
  remove(route: HostRoute, place: RoutePlace): number {
    const result = this.#ask(RTM_DELROUTE, REQUEST_ACK, route, place);
    return result === -ESRCH ? 0 : result;
  }

  close(): void {
    sys.close(this.#fd);
  }

  #ask(type: number, flags: number, route: HostRoute, place: RoutePlace): number {
    const request = routeMessage(type, flags, ++this.#sequence, route, place);
    const sent = sys.write(this.#fd, request, request.length);
    if (sent < 0) return sent;
    const view = new DataView(this.#answer.buffer);
    for (let i = 0; i < ANSWERS_MAX; i++) {
      const got = sys.read(this.#fd, this.#answer, this.#answer.length);
      if (got < 0) return got;
      const isOurs = view.getUint16(4, true) === NLMSG_ERROR && view.getUint32(8, true) === this.#sequence;
      if (got >= HEADER_BYTES + 4 && isOurs) return view.getInt32(HEADER_BYTES, true);
    }
    return 0;
  }
}

/** An address as the kernel has it: 4 or 16 bytes. */
function addressBytes(address: string): Uint8Array {
  return isIPv6(address) ? socketAddress(address, 0).slice(8, 24) : socketAddress(address, 0).slice(4, 8);
}

function routeMessage(type: number, flags: number, sequence: number, route: HostRoute, place: RoutePlace): Uint8Array {
  const target = addressBytes(route.address);
  const attributes = [
    attribute(RTA.dst, target),
    nextHop(route),
    attribute(RTA.oif, word(place.interfaceIndex)),
    attribute(RTA.table, word(place.table)),
    attribute(RTA.priority, word(place.metric)),
    attribute(RTA.prefsrc, addressBytes(route.source)),
    ...(place.rtoMinMs === 0 ? [] : [metrics(place.rtoMinMs)]),
  ];
  const length = HEADER_BYTES + ROUTE_BYTES + attributes.reduce((sum, { length: bytes }) => sum + bytes, 0);
  const message = new Uint8Array(length);
  const view = new DataView(message.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, sequence, true);
  message[HEADER_BYTES] = target.length === 4 ? AF_INET : AF_INET6;
  message[HEADER_BYTES + 1] = target.length * 8;
  message[HEADER_BYTES + 5] = place.protocol;
  message[HEADER_BYTES + 7] = RTN_UNICAST;
  let offset = HEADER_BYTES + ROUTE_BYTES;
  for (const bytes of attributes) {
    message.set(bytes, offset);
    offset += bytes.length;
  }
  return message;
}

/** IPv4 over an IPv6 next hop is written in another way than over one of its own family. */
function nextHop({ address, via }: HostRoute): Uint8Array {
  const hop = addressBytes(via);
  if (isIPv6(address) === isIPv6(via)) return attribute(RTA.gateway, hop);
  const withFamily = new Uint8Array(2 + hop.length);
  new DataView(withFamily.buffer).setUint16(0, isIPv6(via) ? AF_INET6 : AF_INET, true);
  withFamily.set(hop, 2);
  return attribute(RTA.via, withFamily);
}

/** The kernel takes a retransmission timer from a route only when it is locked there. */
function metrics(rtoMinMs: number): Uint8Array {
  const lock = attribute(METRIC_LOCK, word(1 << METRIC_RTO_MIN));
  const timer = attribute(METRIC_RTO_MIN, word(rtoMinMs));
  const both = new Uint8Array(lock.length + timer.length);
  both.set(lock);
  both.set(timer, lock.length);
  return attribute(RTA.metrics, both);
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function attribute(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array((4 + payload.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + payload.length, true);
  view.setUint16(2, type, true);
  bytes.set(payload, 4);
  return bytes;
}
