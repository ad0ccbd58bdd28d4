/** The same documents as lines for people. Whatever comes from the volume is escaped: a terminal obeys nothing of it. */
import { escaped } from '../base/text.ts';
import type { InspectedVolume } from './inspected-volume.ts';
import type { PlaceView } from './batch-view.ts';
import type { NodeView, PeerView } from './node-view.ts';
import { sizeText } from '../check/system.ts';

export function volumeText(volume: InspectedVolume): string[] {
  const { device, superblock, copies } = volume;
  const { version, slotCount, slotBytes, sectorBytes, createdWallMs, volumeBytes } = superblock;
  const format = `${version >>> 16}.${version & 0xffff}`;
  const bad = copies.flatMap((copy, index) => (copy === 'good' ? [] : [`copy ${index} of the superblock: ${copy}`]));
  const lost = device.bytes < volumeBytes ? [`only ${device.bytes} of ${volumeBytes} bytes are here`] : [];
  return [
    escaped(`volume ${device.path}: cluster ${volume.clusterName}, ${volume.uuid}`),
    `  format ${format}, ${slotCount} slots of ${sizeText(slotBytes)}, sectors of ${sectorBytes} bytes, ` +
      `made ${new Date(createdWallMs).toISOString()}`,
    ...[...bad, ...lost].map((line) => `  ! ${line}`),
  ];
}

const STATES: Readonly<Record<NodeView['state'], string>> = {
  never: 'never seen',
  running: 'running',
  stopped: 'stopped in order',
  version: 'of another format version',
  foreign: 'head block of another cluster or node',
  damaged: 'damaged head block',
  unreadable: 'head block cannot be read',
};

export function nodeText(view: NodeView): string[] {
  const title = escaped(`node ${view.node} (slot ${view.slot}): ${STATES[view.state]}`);
  if (view.head === null) return [title];
  const { head } = view;
  return [
    `${title}${view.proven ? '' : ' (not proven)'}, beacon ${ageText(head.beaconAgeMs)}, ` +
      `start ${head.incarnationNumber} (${head.incarnation.slice(0, 8)}), pid ${head.pid} of host ${head.hostId.slice(0, 8)}`,
    `  order mark ${head.orderMark} (reserved to ${head.reservedMark}), position ${head.position}, ` +
      `unread ${sizeText(head.unreadBytes)} (${(head.fill * 100).toFixed(1)} % of the ring)`,
    ...head.peers.map(peerText),
  ];
}

function peerText(peer: PeerView): string {
  const lag = peer.lagBytes === null ? 'of a former start' : `${sizeText(peer.lagBytes)} behind`;
  return escaped(
    `  to ${peer.node}: ${peer.path}; has read to ${peer.readPosition} (${lag}), next data ${peer.nextData}, ` +
      `bulk ${peer.nextBulk}; ${peer.flags.join(' ') || 'knows nothing of it'}`,
  );
}

function ageText(ms: number): string {
  if (ms < -1000) return `${Math.round(-ms / 1000)} s in the future`;
  if (ms < 10_000) return `${(Math.max(0, ms) / 1000).toFixed(1)} s ago`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 600) return `${seconds} s ago`;
  return seconds < 36_000 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

export function placeText(view: PlaceView): string[] {
  if (view.kind === 'overwritten') {
    const { node, position, bytes, afterMark, beforeMark } = view;
    const marks = `between #${afterMark} and #${beforeMark}`;
    return [escaped(`! ${node} at ${position}: ${bytes} bytes ${marks} were written over before they could be read`)];
  }
  if (view.kind === 'damaged') {
    return [escaped(`! ${view.node} at ${view.position}: ${view.bytes} bytes ${view.fault}: ${view.reason}`)];
  }
  const { time, node, orderMark, position, bytes, recordCount } = view;
  const what = view.wrap ? 'end of the lap' : `${recordCount} record${recordCount === 1 ? '' : 's'}`;
  const sealed = view.records === null ? ', sealed' : '';
  return [
    escaped(`${time} ${node} #${orderMark} at ${position}, ${bytes} bytes, ${what}${sealed}`),
    ...(view.records ?? []).map((record) =>
      escaped(
        `    ${record.type} to ${record.target} ${record.sequence}, ${record.frameBytes} bytes` +
          `${record.ageMs > 0 ? `, ${record.ageMs} ms old` : ''}: ${record.text}`,
      ),
    ),
  ];
}

export interface Totals {
  batches: number;
  records: number;
  damagedPlaces: number;
}

export function totalsText(totals: Totals): string {
  const { batches, records, damagedPlaces } = totals;
  const told = (count: number, word: string): string =>
    `${count} ${word}${count === 1 ? '' : word.endsWith('h') ? 'es' : 's'}`;
  return `${told(batches, 'batch')}, ${told(records, 'record')}, ${told(damagedPlaces, 'damaged place')}`;
}
