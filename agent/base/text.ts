/** Text from outside (a volume, a packet) may hold what a terminal obeys, or what makes it look like something else. */

const isControl = (code: number): boolean => code < 0x20 || (code >= 0x7f && code < 0xa0);

/** The text with a question mark for every control character. */
export const withoutControls = (text: string): string =>
  Array.from(text, (character) => (isControl(character.codePointAt(0) ?? 0) ? '?' : character)).join('');

/**
 * Controls (escape sequences begin with one), characters that change the direction of what follows or are not seen at all,
 * other ends of a line, halves of surrogate pairs, and what no standard gives a shape.
 */
const UNSHOWN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const PLAIN = /^[\x20-\x7e]*$/;

const escapeOf = (character: string): string => {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
};

/** The text with an escape (`\x1b`, `\u{202e}`) for every character that is not simply shown. */
export const escaped = (text: string): string => (PLAIN.test(text) ? text : text.replace(UNSHOWN, escapeOf));

/**
 * The first `most` bytes between quotation marks: UTF-8 where they are that, else ASCII and `\xNN`; nothing in it can be
 * mistaken. Dots behind it: there are more.
 */
export function quoted(bytes: Uint8Array, most: number): string {
  // A copy: a decoder takes no bytes of shared memory.
  const own = bytes.slice(0, most);
  const isCut = bytes.length > most;
  let text: string;
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    // What the cut has left of a character is left out.
    text = escaped(decoder.decode(own, { stream: isCut }).replace(/["\\]/g, '\\$&'));
  } catch {
    text = Array.from(own, byteText).join('');
  }
  return `"${text}"${isCut ? '...' : ''}`;
}

function byteText(byte: number): string {
  if (byte === 0x22 || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  return byte < 0x20 || byte > 0x7e ? `\\x${byte.toString(16).padStart(2, '0')}` : String.fromCharCode(byte);
}
