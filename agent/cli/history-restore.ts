/**
 * `stillbeat history restore --at TIME VOLUME`: an earlier state onto a volume, its own or another. Without `--yes` it only says what
 * would be written. A volume that a source has is written through the export of that source, so that it is stamped, copied and
 * recorded as any write is. A restore that was interrupted leaves a mix of two states: the next one makes it whole.
 */
import { EXIT } from '../base/errors.ts';
import { State } from '../history/store/state.ts';
import { usageError } from './commands.ts';
import { loadForState, momentOf, oneFolder, parse, toldTime, writtenText } from './history-open.ts';
import { Walk } from './history-progress.ts';
import { bytesText } from './mirror-text.ts';
import { restoreState } from './restore-copy.ts';
import { openOnto } from './restore-onto.ts';

export async function restore(argv: string[]): Promise<number> {
  const { values, positionals } = parse(argv, {
    at: { type: 'string' },
    volume: { type: 'string' },
    yes: { type: 'boolean' },
  });
  const [where, ...more] = positionals;
  if (where === undefined || more.length > 0) throw usageError('history', 'history restore takes one volume');
  const folder = oneFolder(values);
  const loaded = loadForState(folder);
  const moment = momentOf(loaded, values.at);
  const { volumes, monitor } = loaded.head;
  const index = volumeIndex(volumes, values.volume);
  const volume = volumes[index] ?? { name: '', bytes: 0 };
  const onto = await openOnto(where, volume, folder);
  const [isReal, isJson] = [values.yes === true, values.json === true];
  try {
    const state = new State(loaded, moment.mark);
    try {
      const walk = new Walk(isReal ? 'restoring' : 'comparing', volume.bytes, isJson);
      const { bytes } = volume;
      const differing = await restoreState({ state, volume: index, bytes, onto, where, isReal, walk });
      const document = { monitor, volume: volume.name, onto: where, mark: moment.mark, time: toldTime(moment.timeUs) };
      const figures = { ...document, differingBytes: differing, bytes, written: isReal };
      process.stdout.write(isJson ? `${JSON.stringify(figures)}\n` : restoredText(figures));
      if (isReal) process.stderr.write(onto.advice);
    } finally {
      state.close();
    }
  } finally {
    onto.close();
  }
  return EXIT.ok;
}

function restoredText(figures: {
  readonly volume: string;
  readonly onto: string;
  readonly mark: number;
  readonly time: string | null;
  readonly differingBytes: number;
  readonly bytes: number;
  readonly written: boolean;
}): string {
  const { volume, onto, mark, time, differingBytes, bytes, written } = figures;
  const what = `${volume} as of mark ${mark}, ${writtenText(time)}`;
  const amount = `${bytesText(differingBytes)} of ${bytesText(bytes)}`;
  if (written) return `${what}, is on ${onto}: ${amount} were written\n`;
  return `${what}: ${amount} on ${onto} differ and would be written; to do that, say it again with --yes\n`;
}

/** The volume that is meant: the only one, or by name. */
export function volumeIndex(volumes: readonly { readonly name: string }[], name: string | undefined): number {
  const names = volumes.map((volume) => volume.name).join(', ');
  if (name === undefined) {
    if (volumes.length === 1) return 0;
    throw usageError('history', `--volume is missing: there are ${names}`);
  }
  const index = volumes.findIndex((volume) => volume.name === name);
  if (index < 0) throw usageError('history', `there is no volume ${name}, but ${names}`);
  return index;
}
