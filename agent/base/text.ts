/** Text from outside (a volume, a packet) may hold what a terminal obeys. */

const isControl = (code: number): boolean => code < 0x20 || (code >= 0x7f && code < 0xa0);

/** The text with a question mark for every control character. */
export const withoutControls = (text: string): string =>
  Array.from(text, (character) => (isControl(character.codePointAt(0) ?? 0) ? '?' : character)).join('');
