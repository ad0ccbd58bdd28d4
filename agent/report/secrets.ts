/** Settings for other people's eyes: the text of the file without what only its owners may know. Pure. */
import { stringify } from 'yaml';

/** Whatever it is called, a value under such a name is nobody else's. */
const SECRET = /key|token|secret|password|passphrase|psk|credential/i;
/** A path to a secret is none; and says which file to look at. */
const PATH = /file$|path$/i;
/** What a command line may bear: --password=x, a URL with a word before its host. */
const IN_TEXT = [
  { is: /((?:--?)?(?:password|passphrase|token|secret|key|psk)[=:]\s*)\S+/gi, by: '$1(left out)' },
  { is: /(\w+:\/\/[^\s:/@]+:)[^\s@]+@/g, by: '$1(left out)@' },
];

export const settingsText = (settings: unknown): string => stringify(withoutSecrets(settings, ''), { lineWidth: 0 });

function withoutSecrets(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return argumentsOf(value).map((each) => withoutSecrets(each, key));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, below]) => [name, withoutSecrets(below, name)]));
  }
  if (typeof value !== 'string') return value;
  if (SECRET.test(key) && !PATH.test(key)) return '(left out)';
  return IN_TEXT.reduce((text, { is, by }) => text.replace(is, by), value);
}

/** In a list of arguments a secret stands behind its name. */
function argumentsOf(list: readonly unknown[]): unknown[] {
  return list.map((each, i) => {
    const former = list[i - 1];
    const isNamed = typeof former === 'string' && /^--?/.test(former) && !former.includes('=');
    return isNamed && SECRET.test(former) && !PATH.test(former) ? '(left out)' : each;
  });
}
