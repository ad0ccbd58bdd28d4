/**
 * Gives each frame that enters the interface its type (the lane it travels in) and its peer (where it goes).
 *
 * Type: the operator's first matching rule, then built-in knowledge of cluster protocols, then `data`. Later fragments
 * follow their first one. Peer: by destination address; groups and broadcasts go to all; what concerns only this link, and
 * what is no IP packet, goes to nobody. Nothing is allocated for a frame.
 */
import { DATA, HEARTBEAT, type TypeIndex } from '../base/packet-type.ts';
import type { TypeRule } from '../settings/settings.ts';
import { ADDRESS_WORDS, parseIp } from '../../vnic/ip-address.ts';
import { PacketInfo, parsePacket, PROTOCOL } from '../../vnic/ip-packet.ts';
import { isProgramFrame } from '../wire/program-message.ts';
import { AddressTable } from './address-table.ts';
import { FragmentTable } from './fragment-table.ts';

/** Every peer gets a copy: multicast and broadcast. */
export const ALL_PEERS = -1;
/** Nobody gets it: no IP packet, not addressed to a peer, or talk between link neighbours that a TUN does not have. */
export const NO_PEER = -2;

export interface Verdict {
  type: TypeIndex;
  /** The peer's seat, ALL_PEERS or NO_PEER. */
  peer: number;
}

export interface PeerAddresses {
  readonly addresses: readonly string[];
  /** What a verdict calls it; its place in the list when left out. */
  readonly seat?: number;
}

/**
 * By these ports cluster software tells who is alive. All UDP and below 32768, where Linux begins to lend ports to clients:
 * above it, any answer of any server might bear one. TCP and SCTP are never heartbeat unless the operator says so: they
 * repair losses themselves, and a second copy of everything would only cost.
 */
export const HEARTBEAT_PORTS: readonly (readonly [low: number, high: number])[] = [
  [694, 694], // Linux-HA heartbeat
  [539, 539], // pulse (Piranha)
  [3784, 3785], // BFD, control and echo
  [4784, 4784], // BFD over several hops
  [5300, 5300], // Serviceguard heartbeat
  [5404, 5412], // corosync: totem and knet, one port for each ring and link
  [6784, 6784], // BFD on members of an aggregate
  [7784, 7784], // seamless BFD
  [7946, 7946], // serf and memberlist
  [8301, 8302], // consul gossip
  [9694, 9694], // pgpool-II watchdog
  [12347, 12348], // RSCT topology and group services
];

/** Larger ones carry something else: on a large-MTU interface corosync's own port also moves its bulk. */
const HEARTBEAT_BYTES_MAX = 1500;

/** Beyond any seat. */
const EVERY_SEAT = 0xff;
const ANY = -1;
const ICMP_OF_ANY_VERSION = -2;
/** ICMPv6: group membership (130 to 132 and 143), router and neighbour discovery, redirect (133 to 137). */
const LINK_TYPES_LOW = 130;
const LINK_TYPES_HIGH = 137;
const MEMBERSHIP_REPORT_2 = 143;

interface CompiledRule {
  readonly type: TypeIndex;
  readonly protocol: number;
  readonly portLow: number;
  readonly portHigh: number;
  readonly minBytes: number;
}

export class Classifier {
  /** The headers of the frame that was classified last. */
  readonly info: PacketInfo = new PacketInfo();
  readonly #verdict: Verdict = { type: DATA, peer: NO_PEER };
  readonly #rules: readonly CompiledRule[];
  /** Values: the peer's seat; EVERY_SEAT for a subnet's broadcast address. */
  readonly #destinations: AddressTable;
  readonly #fragments: FragmentTable;

  /**
   * `broadcastAddresses`: those of the interface's own subnets. `former`: the one that this replaces; fragments whose first
   * one it has seen still follow that.
   */
  constructor(
    rules: readonly TypeRule[],
    peers: readonly PeerAddresses[],
    broadcastAddresses: readonly string[] = [],
    former: Classifier | null = null,
  ) {
    this.#fragments = former === null ? new FragmentTable() : former.#fragments;
    this.#rules = rules.map(compileRule);
    this.#destinations = new AddressTable([
      ...peers.flatMap(({ addresses, seat }, index) =>
        addresses.map((address) => ({ address: addressWords(address), value: seat ?? index })),
      ),
      ...broadcastAddresses.map((address) => ({ address: addressWords(address), value: EVERY_SEAT })),
    ]);
  }

  /** The verdict is the same object each time: it holds until the next call. */
  classify(frame: Uint8Array): Verdict {
    const verdict = this.#verdict;
    // No kernel makes such a header; were there one, the peer would take the packet for a program's message.
    if (isProgramFrame(frame) || !parsePacket(frame, this.info)) {
      verdict.type = DATA;
      verdict.peer = NO_PEER;
      return verdict;
    }
    verdict.type = this.#typeOf(this.info);
    verdict.peer = this.#peerOf(this.info);
    return verdict;
  }

  #typeOf(info: PacketInfo): TypeIndex {
    if (info.isFragment && !info.isFirstFragment) return this.#fragments.recall(info, DATA);
    const type = this.#typeByRules(info);
    if (info.isFragment) this.#fragments.remember(info, type);
    return type;
  }

  #typeByRules(info: PacketInfo): TypeIndex {
    const rules = this.#rules;
    for (let index = 0; index < rules.length; index++) {
      const rule = rules[index];
      if (rule !== undefined && matches(rule, info)) return rule.type;
    }
    return isKnownHeartbeat(info) ? HEARTBEAT : DATA;
  }

  #peerOf(info: PacketInfo): number {
    if (isLinkTalk(info)) return NO_PEER;
    if (info.isMulticast || info.isLimitedBroadcast) return ALL_PEERS;
    const peer = this.#destinations.get(info.destination);
    if (peer === EVERY_SEAT) return ALL_PEERS;
    return peer < 0 ? NO_PEER : peer;
  }
}

function addressWords(text: string): Uint32Array {
  const words = new Uint32Array(ADDRESS_WORDS);
  if (!parseIp(text, words)) throw new RangeError(`"${text}" is not an IP address`);
  return words;
}

function compileRule(rule: TypeRule): CompiledRule {
  const [portLow, portHigh] = rule.port ?? [ANY, ANY];
  return { type: rule.type, protocol: protocolNumber(rule.protocol), portLow, portHigh, minBytes: rule.minBytes ?? 0 };
}

function protocolNumber(protocol: TypeRule['protocol']): number {
  if (protocol === undefined) return ANY;
  if (protocol === 'icmp') return ICMP_OF_ANY_VERSION;
  return typeof protocol === 'number' ? protocol : PROTOCOL[protocol];
}

function matches(rule: CompiledRule, info: PacketInfo): boolean {
  if (info.totalBytes < rule.minBytes) return false;
  const { protocol } = info;
  if (rule.protocol === ICMP_OF_ANY_VERSION) {
    if (protocol !== PROTOCOL.icmp && protocol !== PROTOCOL.icmpv6) return false;
  } else if (rule.protocol !== ANY && rule.protocol !== protocol) {
    return false;
  }
  return rule.portLow === ANY || isEitherPortIn(info, rule.portLow, rule.portHigh);
}

function isKnownHeartbeat(info: PacketInfo): boolean {
  if (info.isSuperPacket || info.totalBytes > HEARTBEAT_BYTES_MAX) return false;
  if (info.protocol === PROTOCOL.vrrp) return true;
  if (info.protocol !== PROTOCOL.udp) return false;
  for (let index = 0; index < HEARTBEAT_PORTS.length; index++) {
    const range = HEARTBEAT_PORTS[index];
    if (range !== undefined && isEitherPortIn(info, range[0], range[1])) return true;
  }
  return false;
}

function isEitherPortIn(info: PacketInfo, low: number, high: number): boolean {
  const { sourcePort, destinationPort } = info;
  return (sourcePort >= low && sourcePort <= high) || (destinationPort >= low && destinationPort <= high);
}

/**
 * Neighbour discovery, and the group memberships that a kernel reports to a router: behind a TUN there is neither, and
 * passing them on would write to the storage for nothing.
 */
function isLinkTalk(info: PacketInfo): boolean {
  if (info.protocol === PROTOCOL.igmp) return true;
  if (info.protocol !== PROTOCOL.icmpv6) return false;
  const { icmpType } = info;
  return (icmpType >= LINK_TYPES_LOW && icmpType <= LINK_TYPES_HIGH) || icmpType === MEMBERSHIP_REPORT_2;
}
