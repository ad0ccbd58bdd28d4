/** What `format` says of a volume that it has made or changed: the document of `--json`, and its lines. */
import { sizeText } from '../check/system.ts';
import type { BlockDevice } from '../platform/block-device.ts';
import type { Superblock } from '../volume/superblock.ts';

/** What `--json` prints. */
export interface FormattedVolume {
  readonly ok: true;
  readonly volume: string;
  readonly cluster: string;
  readonly uuid: string;
  readonly nodes: readonly string[];
  readonly slots: number;
  readonly slotBytes: number;
  readonly bytes: number;
  readonly sectorBytes: number;
  readonly direct: boolean;
}

export function documentOf(device: BlockDevice, superblock: Superblock): FormattedVolume {
  const { clusterUuid, clusterName, nodes, slotCount, slotBytes } = superblock;
  const hex = Buffer.from(clusterUuid).toString('hex');
  const { path, bytes, sectorBytes, isDirect } = device;
  return {
    ok: true,
    volume: path,
    cluster: clusterName,
    uuid: hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-'),
    nodes: nodes.filter((name) => name !== ''),
    slots: slotCount,
    slotBytes,
    bytes,
    sectorBytes,
    direct: isDirect,
  };
}

export function madeText(made: FormattedVolume): string {
  const access = made.direct ? 'around the page cache' : 'through the page cache: for nodes on this host only';
  return (
    `formatted ${made.volume} (${sizeText(made.bytes)}) for cluster ${made.cluster}, ${made.uuid}\n` +
    `nodes ${made.nodes.join(', ')}; ${slotsText(made)}; sectors of ${made.sectorBytes} bytes, ${access}\n`
  );
}

export function changedText(change: 'add' | 'remove', names: readonly string[], made: FormattedVolume): string {
  const done = change === 'add' ? 'added' : 'removed';
  return `${done} ${names.join(', ')} on ${made.volume}; nodes ${made.nodes.join(', ')}; ${slotsText(made)}\n`;
}

const slotsText = ({ slots, slotBytes, nodes }: FormattedVolume): string =>
  `${slots} slots of ${sizeText(slotBytes)}, ${slots - nodes.length} free`;
