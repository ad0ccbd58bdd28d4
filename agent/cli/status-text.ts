/** The status document as a page for a terminal. */
import { missedOf } from '../view/status.ts';

type Values = Readonly<Record<string, unknown>>;

const COLOURS: Readonly<Record<string, number>> = {
  network: 32,
  suspect: 33,
  storage: 36,
  returning: 36,
  isolated: 31,
};

const WARNING = 33;

const number = (value: unknown, unit: string): string =>
  typeof value === 'number' ? `${Math.round(value * 100) / 100} ${unit}` : '-';

const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export function statusText(document: Values, colour: boolean): string {
  const paint = (text: string, code: number | undefined) =>
    colour && code !== undefined && process.env['NO_COLOR'] === undefined ? `\u001b[${code}m${text}\u001b[0m` : text;
  const vnic = document['vnic'] as Values;
  const storage = document['storage'] as Values;
  const primary = document['primary'] as Values;
  const lines = [
    `${String(document['cluster'])} / ${String(document['node'])}   stillbeat ${String(document['version'])}   pid ${String(document['pid'])}`,
    `interface  ${String(vnic['name'])}  ${(vnic['addresses'] as string[]).join(' ')}  mtu ${String(vnic['mtu'])}`,
    `network    ${String(primary['mode'])}  ${carrierText(primary)}`,
    `storage    ${storageText(storage)}`,
    ...copyLines(storage['copy'] as Values | undefined, paint),
    ...receiveLines((storage['receive'] ?? []) as Values[]),
    ...gatewayLines((document['gateway'] ?? {}) as Values),
    `keys       ${keysText(document)}`,
    `corosync   ${corosyncText(document['corosync'] as Values, paint)}`,
    ...(document['switch'] === 'not answering' ? ['switch     NOT ANSWERING: nothing is known of the peers'] : []),
    '',
    row(['PEER', 'PATH', 'SINCE', 'NET RTT', 'STORAGE LAG', 'SENT', 'RECEIVED', 'LOST', 'DUPLICATES', 'WAITING']),
  ];
  for (const peer of document['peers'] as Values[]) {
    const cells = peerCells(peer);
    const line = row(cells);
    lines.push(line.replace(cells[1] ?? '', paint(cells[1] ?? '', COLOURS[String(peer['path'])])));
  }
  const events = (document['events'] as Values[]).slice(-8);
  if (events.length > 0) lines.push('', 'last events');
  for (const event of events) lines.push(`  ${eventText(event)}`);
  return `${lines.join('\n')}\n`;
}

const WIDTHS = [12, 11, 21, 10, 12, 9, 9, 7, 11, 8];

const row = (cells: readonly string[]): string =>
  cells
    .map((cell, i) => (i < 3 ? cell.padEnd(WIDTHS[i] ?? 0) : cell.padStart(WIDTHS[i] ?? 0)))
    .join(' ')
    .trimEnd();

function carrierText(primary: Values): string {
  if (primary['carrier'] === null) return '';
  return `${text(primary['interface'])} ${primary['carrier'] === true ? 'carrier' : 'NO CARRIER'}`.trim();
}

/** Nothing where no gateway is set. */
function gatewayLines(gateway: Values): string[] {
  if (gateway['outside'] === null || gateway['outside'] === undefined) return [];
  const parts = [
    `own way ${text(gateway['outside'])} (${text(gateway['reason'])})`,
    ...(gateway['using'] === null ? [] : [`USING ${text(gateway['using'])}`]),
    ...(gateway['offer'] === true ? [gateway['offering'] === true ? 'offering' : 'not offering'] : []),
  ];
  return [`gateway    ${parts.join('  ')}`];
}

function storageText(storage: Values): string {
  const state = storage['available'] === true ? 'available' : 'NOT AVAILABLE';
  const error = storage['writeError'] === null ? '' : `  write error ${text(storage['writeError'])}`;
  const direct = storage['direct'] === true ? '' : '  not O_DIRECT';
  return `${String(storage['volume'])}  ${state}  last write ${number(storage['lastWriteMs'], 'ms')}${direct}${error}`;
}

/** Nothing of a volume that is its own copy. */
function copyLines(copy: Values | undefined, paint: (text: string, code: number) => string): string[] {
  if (copy === undefined || copy['kind'] === 'shared') return [];
  const method = (copy['method'] ?? {}) as Values;
  const target = text(method['volume']) || text(method['command']);
  const lag = `position ${text(String(copy['copied']))} of ${text(String(copy['position']))}  lag ${number(copy['lagMs'], 'ms')}`;
  const onCommand = method['onCommand'] === true ? '  on command' : '';
  const faults = [
    copy['late'] === true ? `LATE: not within ${number(copy['withinMs'], 'ms')}` : '',
    text(copy['fault']),
    copy['ringShort'] === true ? `RING SHORT: ${number(copy['ringNeededBytes'], 'bytes')} needed` : '',
  ].filter((fault) => fault !== '');
  const line = `copy       ${text(copy['kind'])}  ${target}  ${lag}  misses ${text(String(copy['misses']))}${onCommand}`;
  return [faults.length === 0 ? line : paint(`${line}  ${faults.join('  ')}`, WARNING)];
}

/** Nothing of volumes that are read well. */
function receiveLines(volumes: readonly Values[]): string[] {
  return volumes
    .filter((volume) => volume['available'] !== true)
    .map((volume) => {
      const error = volume['readError'];
      const why =
        error === null ? `a read hangs for ${number(volume['readingMs'], 'ms')}` : `read error ${text(error)}`;
      return `receive    ${text(volume['volume'])}  NOT READ  ${why}  peers ${(volume['peers'] as string[]).join(', ')}`;
    });
}

/** What a rotation of the key is watched by: the own keys, and which one each peer was last seen to seal with. */
function keysText(document: Values): string {
  const [seals, ...opens] = document['keys'] as string[];
  if (seals === undefined) return 'NONE: nothing is sealed';
  const peers = document['peers'] as Values[];
  const byKey = new Map<string, string[]>();
  for (const peer of peers) {
    const { key, keyKnown } = peer['storage'] as Values;
    if (typeof key !== 'string') continue;
    const seen = keyKnown === true ? key : `${key} NOT IN THE KEY FILE`;
    byKey.set(seen, [...(byKey.get(seen) ?? []), String(peer['node'])]);
  }
  const seen = [...byKey].map(([key, nodes]) => `${key} (${nodes.length === peers.length ? 'all' : nodes.join(', ')})`);
  const own = [`${seals} seals`, ...opens.map((key) => `${key} opens`)].join(', ');
  return seen.length === 0 ? own : `${own}  peers seal with ${seen.join(', ')}`;
}

function corosyncText(corosync: Values, paint: (text: string, code: number) => string): string {
  if (corosync['problem'] !== null) return paint(`WARNING: ${text(corosync['problem'])}`, WARNING);
  if (corosync['tokenMinMs'] === null) return 'no advice yet: no way to a peer is known';
  const latency = `${number(corosync['oneWayMs'], 'ms')} one way at worst, ${number(corosync['nodes'], 'nodes')}`;
  const allowed = `a token of ${number(corosync['tokenMinMs'], 'ms')} or more`;
  if (corosync['fits'] === null) return `${latency}: allows ${allowed}`;
  const token = `token ${number(corosync['configuredTokenMs'], 'ms')}`;
  if (corosync['fits'] === true) return `${token} fits  (${latency}: allows ${allowed})`;
  return paint(`WARNING: ${token} is too short  (${latency}: needs ${allowed})`, WARNING);
}

function peerCells(peer: Values): string[] {
  const network = peer['network'] as Values;
  const storage = peer['storage'] as Values;
  const queues = peer['queues'] as Readonly<Record<string, Values>>;
  const waiting = Object.values(queues).reduce((sum, queue) => sum + Number(queue['depth']), 0);
  const override = peer['override'] === 'auto' ? '' : '*';
  return [
    String(peer['node']),
    `${String(peer['path'])}${override}`,
    String(peer['since']).replace('T', ' ').slice(0, 19),
    network['reachable'] === true ? number(network['rttMs'], 'ms') : '-',
    storage['fresh'] === true ? number(storage['lagMs'], 'ms') : 'stale',
    String(peer['sent']),
    String(peer['received']),
    String(missedOf({ lost: Number(peer['lost']), tooOld: Number(peer['tooOld'] ?? 0) })),
    String(peer['duplicates']),
    String(waiting),
  ];
}

function eventText(event: Values): string {
  const { at, kind, ...rest } = event;
  const time = String(at).slice(11, 23);
  if (kind === 'path') {
    return `${time}  ${String(rest['peer'])}: ${String(rest['from'])} -> ${String(rest['to'])}  (${String(rest['reason'])})`;
  }
  const figures = Object.entries(rest).map(([key, value]) => `${key} ${String(value)}`);
  return `${time}  ${String(kind)}  ${figures.join(', ')}`;
}
