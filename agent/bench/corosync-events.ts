/**
 * What happened to a corosync, read from its own log (`timestamp: hires`, in UTC):
 *
 *     Nov 21 01:12:03.456 notice  [TOTEM ] A new membership (1.2c) was formed. Members left: 3
 *
 * Pure. Lines that say nothing about links, token, membership or scheduling are passed over.
 */

export const EVENT_KINDS = [
  /** knet calls a link to another node down, or up again. */
  'link-down',
  'link-up',
  /** The token did not come within 75 % of its time: a warning, nothing happens yet. */
  'token-late',
  /** It did not come at all: the nodes stop all messages and form the ring anew. */
  'token-lost',
  /** The ring was formed anew, with the same members. */
  'reformed',
  /** Members left or joined: what cluster software acts on. */
  'membership',
  /** The list of members as the quorum service gives it, after each forming. */
  'members',
  /** corosync itself stood still: the machine's doing, not the network's. */
  'stall',
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

export interface CorosyncEvent {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly kind: EventKind;
  readonly text: string;
  /** Of links: the node at the other end and the link's number, such as `3/0`. */
  readonly link?: string;
  /** Of memberships: how many members left; of `members`: how many there are. */
  readonly count?: number;
}

const LINE = /^(\w{3} \d\d \d\d:\d\d:\d\d\.\d{3}) .*?\[(KNET|TOTEM|QUORUM|MAIN)\s*\] (.*)$/gm;

/** `year`: the log does not name it. */
export function corosyncEvents(log: string, year: number): CorosyncEvent[] {
  const events: CorosyncEvent[] = [];
  for (const [, time = '', , text = ''] of log.matchAll(LINE)) {
    const seen = eventOf(text);
    if (seen === null) continue;
    const [month, day, clock] = time.split(' ');
    events.push({ atMs: Date.parse(`${day} ${month} ${year} ${clock} UTC`), text, ...seen });
  }
  return events;
}

type Seen = Pick<CorosyncEvent, 'kind' | 'link' | 'count'>;

function eventOf(text: string): Seen | null {
  const link = /^link: host: (\d+) link: (\d+) is (down|up)/.exec(text);
  if (link) return { kind: link[3] === 'down' ? 'link-down' : 'link-up', link: `${link[1]}/${link[2]}` };
  // knet says in other words that a link is up, and only so.
  const up = /^rx: host: (\d+) link: (\d+) is up/.exec(text);
  if (up) return { kind: 'link-up', link: `${up[1]}/${up[2]}` };
  if (text.startsWith('Token has not been received in')) return { kind: 'token-late' };
  if (/^A processor failed|^FAILED TO RECEIVE/.test(text)) return { kind: 'token-lost' };
  const members = /^Members\[(\d+)\]/.exec(text);
  if (members) return { kind: 'members', count: Number(members[1]) };
  if (/^A new membership .* was formed/.test(text)) {
    if (!/ (joined|left): /.test(text)) return { kind: 'reformed' };
    const left = / left: ([\d ]+)/.exec(text)?.[1]?.trim().split(/\s+/).length ?? 0;
    return { kind: 'membership', count: left };
  }
  if (/not scheduled .* for|^Process pause detected/.test(text)) return { kind: 'stall' };
  return null;
}
