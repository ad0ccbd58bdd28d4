/**
 * What an operator wants to know at one glance: is all well, and if not, what is wrong. Pure.
 *
 * `bad`: packets cannot go somewhere. `warn`: they go, and something that they may need next is not as it should be.
 */
import type { Moment, PeerMoment } from './figures.ts';
import type { PeerStatus, StatusView } from './status.ts';
import { listText } from './units.ts';

export type Level = 'good' | 'warn' | 'bad';

export interface Fault {
  readonly level: 'warn' | 'bad';
  readonly text: string;
}

export interface Verdict {
  readonly level: Level;
  readonly headline: string;
  /** Everything that is wrong, worst first. */
  readonly faults: readonly Fault[];
}

const bad = (text: string): Fault => ({ level: 'bad', text });
const warn = (text: string): Fault => ({ level: 'warn', text });
const names = (peers: readonly PeerStatus[]): string => listText(peers.map(({ node }) => node));

/** `moment`: what happened since the status before. What was lost earlier is no fault of now. */
export function verdict(status: StatusView, moment: Pick<Moment, 'peers'>): Verdict {
  if (status.switch !== 'answering') {
    const headline = 'The agent’s switch thread does not answer: nothing is known of the peers';
    return { level: 'bad', headline, faults: [bad(headline), ...storageFaults(status)] };
  }
  const faults = [
    ...pathFaults(status),
    ...lossFaults(status, moment),
    ...storageFaults(status),
    ...otherFaults(status),
  ];
  faults.sort((one, other) => (one.level === other.level ? 0 : one.level === 'bad' ? -1 : 1));
  const [first] = faults;
  if (!first) return { level: 'good', headline: goodText(status), faults };
  const more = faults.length > 1 ? ` (and ${faults.length - 1} more)` : '';
  return { level: first.level, headline: `${first.text}${more}`, faults };
}

function goodText({ peers, primary }: StatusView): string {
  const way = primary.mode === 'none' ? 'by storage, as set' : 'by the network, storage ready';
  return peers.length === 1
    ? `All well: ${names(peers)} is reached ${way}`
    : `All well: ${peers.length} peers are reached ${way}`;
}

function pathFaults({ peers, primary }: StatusView): Fault[] {
  const on = (path: string, isSet: boolean): PeerStatus[] =>
    peers.filter((peer) => peer.path === path && (peer.override !== 'auto') === isSet);
  const faults: Fault[] = [];
  const isolated = peers.filter(({ path }) => path === 'isolated');
  if (isolated.length > 0) faults.push(bad(`No way to ${names(isolated)}: neither network nor storage`));
  const storage = primary.mode === 'none' ? [] : on('storage', false);
  if (storage.length > 0) faults.push(warn(`The network to ${names(storage)} is out: packets go by storage`));
  const returning = on('returning', false);
  if (returning.length > 0) faults.push(warn(`The network to ${names(returning)} is back and has to prove itself`));
  const set = peers.filter(({ override }) => override !== 'auto');
  for (const { node, override } of set) faults.push(warn(`An operator holds ${node} on ${override}`));
  return faults;
}

function lossFaults({ peers }: StatusView, moment: Pick<Moment, 'peers'>): Fault[] {
  const losing = peers.filter(({ node }) => isLosing(moment.peers[node]));
  return losing.length > 0 ? [warn(`Packets from ${names(losing)} are being lost`)] : [];
}

/** Whether packets from the peer were lost since the moment before. */
export const isLosing = (figures: PeerMoment | undefined): boolean =>
  figures !== undefined && figures.lost + figures.tooOld > 0;

function storageFaults({ storage, peers, primary }: StatusView): Fault[] {
  const faults: Fault[] = [];
  const isNeeded = primary.mode === 'none' || peers.some(({ path }) => path === 'storage' || path === 'returning');
  if (!storage.available) {
    const why = storage.writeError === null ? 'a write hangs' : `writes fail with ${storage.writeError}`;
    faults.push((isNeeded ? bad : warn)(`This node’s storage is not available: ${why}`));
  }
  for (const { volume, available, readError } of storage.receive) {
    if (available) continue;
    const why = readError === null ? 'a read hangs' : `reads fail with ${readError}`;
    faults.push(warn(`Volume ${volume} is not read: ${why}`));
  }
  const silent = peers.filter(({ path, storage: way }) => path !== 'isolated' && !way.fresh);
  if (silent.length > 0) faults.push(warn(`${names(silent)} is not heard by storage: a cut network would isolate it`));
  const { copy } = storage;
  if (copy.kind === 'shared') return faults;
  if (copy.fault !== null && copy.fault !== undefined) faults.push(warn(`The copy (${copy.kind}): ${copy.fault}`));
  else if (copy.late) faults.push(warn(`The copy (${copy.kind}) is late`));
  if (copy.ringShort) faults.push(warn('The ring is short for the lag and the rate of the copy'));
  return faults;
}

function otherFaults({ peers, corosync, authenticated, primary }: StatusView): Fault[] {
  const faults: Fault[] = [];
  if (primary.carrier === false) faults.push(warn(`${primary.interface ?? 'The primary interface'} has no carrier`));
  const unaware = peers.filter(({ knowsUs }) => knowsUs === false);
  if (unaware.length > 0) faults.push(warn(`${names(unaware)} has not this node among its peers`));
  const others = peers.filter(({ otherAddresses }) => otherAddresses !== null);
  if (others.length > 0) faults.push(warn(`${names(others)} has other addresses than the settings say`));
  const keys = peers.filter(({ storage }) => storage.key !== null && !storage.keyKnown);
  if (keys.length > 0) faults.push(warn(`${names(keys)} seals with a key that the key file does not have`));
  if (corosync.problem !== null) faults.push(warn(`corosync: ${corosync.problem}`));
  else if (corosync.fits === false) faults.push(warn('corosync’s token is too short for the present latency'));
  if (!authenticated) faults.push(warn('The agent runs without a key: anybody who reaches a way is believed'));
  return faults;
}
