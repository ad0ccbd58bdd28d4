/** HTML made of text: what is put in is escaped, always; what was made here is not escaped again. */

export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Html | string | number | null | readonly Piece[];

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '');

function pieceText(piece: Piece): string {
  if (piece === null) return '';
  if (piece instanceof Html) return piece.text;
  if (typeof piece === 'string' || typeof piece === 'number') return escaped(String(piece));
  return piece.map(pieceText).join('');
}

/** A template whose values are escaped, and whose own line ends are spaces. */
export const html = (parts: TemplateStringsArray, ...pieces: readonly Piece[]): Html =>
  new Html(parts.map((part, i) => oneLine(part) + pieceText(pieces[i] ?? null)).join(''));

/** How a template is laid out in its source is nobody's matter. */
const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ');

/** Rows of cells; `numbers`: columns that stand at the right. */
export function table(
  head: readonly string[],
  rows: readonly (readonly Piece[])[],
  numbers: readonly number[] = [],
): Html {
  const kind = (column: number): Html => (numbers.includes(column) ? html` class="number"` : html``);
  return html`<table>
    <thead>
      <tr>
        ${head.map((title, i) => html`<th scope="col" ${kind(i)}>${title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map(
        (cells) =>
          html`<tr>
            ${cells.map((cell, i) => html`<td${kind(i)}>${cell}</td>`)}
          </tr> `,
      )}
    </tbody>
  </table>`;
}
