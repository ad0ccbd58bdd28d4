/**
 * Which packets go past the agent, as the kernel's routing rules can tell them: by protocol and port, first match wins, as
 * in the classifier. Pure.
 *
 * By rules and not by marks: a rule is asked when a connection looks for its route, so the connection knows its real way,
 * with the right segment size and timers; a mark comes when the packet is made, for another way. The
 * reverse-path filter asks the same rules, so it needs no exception.
 */
import { BULK, DATA, HEARTBEAT } from '../base/packet-type.ts';
import type { Settings, TypeRule } from '../settings/settings.ts';

/** What cluster software tells life by never goes past the agent, whatever the operator's rules say. */
export interface BuiltInHeartbeats {
  readonly protocol: number;
  readonly udpPorts: readonly (readonly [low: number, high: number])[];
}

export interface Selector {
  readonly way: 'past' | 'inside';
  /** Null: any. */
  readonly protocol: number | 'icmp' | null;
  /** On either end; null: any. */
  readonly port: readonly [low: number, high: number] | null;
}

const UDP = 17;
const NUMBERS = { tcp: 6, udp: UDP, sctp: 132 } as const;
/** The protocols in which the classifier looks for ports. */
const WITH_PORTS = [6, UDP, 132, 33, 136];

type RouteSettings = Pick<Settings, 'types'> & { readonly primary: Pick<Settings['primary'], 'bypass'> };

export function selectors({ types, primary }: RouteSettings, heartbeats: BuiltInHeartbeats): Selector[] {
  const ruled = types.flatMap((rule) => selectorsOf(rule, primary.bypass));
  const rest: Selector[] = primary.bypass.includes('data') ? [{ way: 'past', protocol: null, port: null }] : [];
  const all = [...ruled, ...rest];
  const needed = all.slice(0, all.findLastIndex(({ way }) => way === 'past') + 1);
  return [...builtIn(needed, heartbeats), ...needed];
}

/** A rule by length keeps its whole flow inside: half of it past the agent would come in another order. */
function selectorsOf(rule: TypeRule, bypass: Settings['primary']['bypass']): Selector[] {
  const isPast =
    rule.minBytes === undefined &&
    rule.type !== HEARTBEAT &&
    ((rule.type === BULK && bypass.includes('bulk')) || (rule.type === DATA && bypass.includes('data')));
  const way = isPast ? 'past' : 'inside';
  const port = rule.port ?? null;
  const protocol = numberOf(rule.protocol);
  if (port === null || protocol !== null) return [{ way, protocol, port }];
  return WITH_PORTS.map((each) => ({ way, protocol: each, port }));
}

function numberOf(protocol: TypeRule['protocol']): Selector['protocol'] {
  if (protocol === undefined) return null;
  if (protocol === 'icmp') return protocol;
  return typeof protocol === 'number' ? protocol : NUMBERS[protocol];
}

/** Only where a later rule could take them along: each rule costs every route lookup a little. */
function builtIn(needed: readonly Selector[], { protocol, udpPorts }: BuiltInHeartbeats): Selector[] {
  const takes = (number: number) =>
    needed.some((selector) => selector.way === 'past' && (selector.protocol ?? number) === number);
  return [
    ...(takes(protocol) ? [{ way: 'inside', protocol, port: null } as const] : []),
    ...(takes(UDP) ? udpPorts.map((port) => ({ way: 'inside', protocol: UDP, port }) as const) : []),
  ];
}
