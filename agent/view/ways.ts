/** The words and signs of the ways: never colour alone. */

export interface Way {
  /** As in the status document. */
  readonly path: string;
  readonly sign: string;
  readonly text: string;
}

export const WAYS: readonly Way[] = [
  { path: 'network', sign: 'N', text: 'by the network' },
  { path: 'suspect', sign: '?', text: 'by the network; a probe is late' },
  { path: 'storage', sign: 'S', text: 'by storage' },
  { path: 'returning', sign: 'R', text: 'by storage; the network proves itself' },
  { path: 'isolated', sign: '×', text: 'no way' },
  { path: 'off', sign: '–', text: 'the agent did not run' },
  { path: 'unknown', sign: ' ', text: 'not known' },
];

export const wayOf = (path: string): Way =>
  WAYS.find((way) => way.path === path) ?? { path: 'unknown', sign: ' ', text: 'not known' };
