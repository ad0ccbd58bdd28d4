/** The volumes of a simulated cluster: one for all nodes, or one for each to write to, with slots in another order. */
import { SLOTS_OFFSET, tenantOf } from '../../agent/volume/layout.ts';
import { at, others, type NodeIndex } from './pairs.ts';
import type { SimSettings } from './settings.ts';

export class Volume {
  readonly bytes: Uint8Array;
  /** By node: raised with every change by its writes. */
  readonly #versions: number[];

  constructor(sizeBytes: number, nodes: number) {
    this.bytes = new Uint8Array(sizeBytes);
    this.#versions = Array.from({ length: nodes }, () => 1);
  }

  changed(by: NodeIndex): void {
    this.#versions[by] = at(this.#versions, by) + 1;
  }

  /** A reader need not look again while this stands: what others have changed. */
  versionFor(reader: NodeIndex): number {
    return others(this.#versions.length, reader).reduce((sum, node) => sum + at(this.#versions, node), 0);
  }
}

export class Volumes {
  readonly count: number;
  readonly slotBytes: number;
  readonly isShared: boolean;
  readonly #volumes: readonly Volume[];

  constructor({ nodes, volumes, slotBytes }: SimSettings) {
    this.count = nodes;
    this.slotBytes = slotBytes;
    this.isShared = volumes === 'shared';
    const make = (): Volume => new Volume(SLOTS_OFFSET + nodes * slotBytes, nodes);
    this.#volumes = Array.from({ length: this.isShared ? 1 : nodes }, make);
  }

  /** Which volume a node writes to. */
  indexOf(writer: NodeIndex): number {
    return this.isShared ? 0 : writer;
  }

  get(index: number): Volume {
    return at(this.#volumes, index);
  }

  /** Which slot of a volume is a node's. On separate ones each order is another: whoever mixes them up is found out. */
  slotOn(index: number, node: NodeIndex): number {
    return this.isShared ? node : (node + index) % this.count;
  }

  /** Slots have had other tenants before, each another number of them. */
  tenantOn(index: number, node: NodeIndex): number {
    return tenantOf(this.slotOn(index, node), 2 * node + index);
  }

  /** The volumes that a node reads, and who writes there. */
  readBy(reader: NodeIndex): { readonly index: number; readonly writers: readonly NodeIndex[] }[] {
    const writers = others(this.count, reader);
    return this.isShared ? [{ index: 0, writers }] : writers.map((writer) => ({ index: writer, writers: [writer] }));
  }
}
