/** A table that a phone shows as a list of cards: each cell says its column. */
import { h } from './dom.ts';

export interface Column {
  readonly title: string;
  /** Numbers stand at the right. */
  readonly isNumber?: boolean;
}

type Cell = Node | string;

/** The first cell of a row names it. */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  name = '',
): HTMLElement {
  const kind = (column: Column | undefined): string | null => (column?.isNumber === true ? 'number' : null);
  return h(
    'table',
    { class: name },
    h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, ...columns.map((each) => h('th', { scope: 'col', class: kind(each) }, each.title)))),
    h(
      'tbody',
      {},
      ...rows.map((cells) =>
        h(
          'tr',
          {},
          ...cells.map((cell, i) => {
            const column = columns[i];
            if (i === 0) return h('th', { scope: 'row', class: kind(column) }, cell);
            return h('td', { 'data-title': column?.title ?? '', class: kind(column) }, cell);
          }),
        ),
      ),
    ),
  );
}
