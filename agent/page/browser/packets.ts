/** The newest packets of a ring, on request. What they contain is text, whatever it looks like. */
import { bytesText } from '../../view/units.ts';
import type { NowView, PacketsView } from '../document.ts';
import { byId, h, show } from './dom.ts';
import { table } from './table.ts';

const AGAIN_MS = 2000;

export class Packets {
  readonly #volume = byId('packet-volume') as HTMLSelectElement;
  readonly #node = byId('packet-node') as HTMLSelectElement;
  readonly #again = byId('packet-again') as HTMLInputElement;
  readonly #note = byId('packet-note');
  readonly #list = byId('packet-list');
  #now: NowView | null = null;
  #timer: number | undefined;

  constructor() {
    byId('packet-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#look();
    });
    this.#volume.addEventListener('change', () => this.#offerNodes());
    this.#again.addEventListener('change', () => this.#repeat());
  }

  /** Offers what there is to look into; a choice that still is one stays. */
  offer(now: NowView): void {
    const former = JSON.stringify(this.#now?.volumes.map(({ path, rings }) => [path, rings.map(({ node }) => node)]));
    this.#now = now;
    if (former === JSON.stringify(now.volumes.map(({ path, rings }) => [path, rings.map(({ node }) => node)]))) return;
    choose(
      this.#volume,
      now.volumes.map(({ path }) => path),
    );
    this.#offerNodes();
  }

  #offerNodes(): void {
    const volume = this.#now?.volumes.find(({ path }) => path === this.#volume.value);
    choose(this.#node, volume?.rings.map(({ node }) => node) ?? []);
  }

  #repeat(): void {
    clearInterval(this.#timer);
    if (!this.#again.checked) return;
    void this.#look();
    this.#timer = setInterval(() => {
      if (!document.hidden) void this.#look();
    }, AGAIN_MS);
  }

  async #look(): Promise<void> {
    const query = new URLSearchParams({ volume: this.#volume.value, node: this.#node.value });
    const answer = await fetch(`/packets?${query.toString()}`).catch(() => null);
    const found = (await answer?.json().catch(() => null)) as (PacketsView & { error?: string }) | null;
    if (!found || found.error !== undefined) {
      this.#note.textContent = found?.error ?? 'the agent does not answer';
      return;
    }
    const { packets, notes } = found;
    this.#note.textContent = [`${packets.length} packets, newest first`, ...notes].join('; ');
    const columns = [
      { title: 'time (UTC)' },
      { title: 'mark', isNumber: true },
      { title: 'to' },
      { title: 'type' },
      { title: 'number', isNumber: true },
      { title: 'size', isNumber: true },
      { title: 'what' },
    ];
    const rows = packets.map(({ time, orderMark, to, type, sequence, bytes, text }) => [
      time.slice(11, 26),
      String(orderMark),
      to,
      type,
      String(sequence),
      bytesText(bytes),
      h('code', {}, text),
    ]);
    show(
      this.#list,
      packets.length === 0
        ? h('p', { class: 'note' }, 'The ring holds no packets here.')
        : table('Packets, newest first', columns, rows, 'plain packets cards'),
    );
  }
}

function choose(select: HTMLSelectElement, values: readonly string[]): void {
  const former = select.value;
  show(select, ...values.map((value) => h('option', { value }, value)));
  select.value = values.includes(former) ? former : (values[0] ?? '');
}
