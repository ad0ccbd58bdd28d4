/** The status of a mirror as a page: a source's, or a target's. */
type Values = Readonly<Record<string, unknown>>;

const list = (value: unknown): readonly Values[] => (Array.isArray(value) ? (value as Values[]) : []);
const group = (value: unknown): Values => (typeof value === 'object' && value !== null ? (value as Values) : {});
const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' ? String(value) : '-');
const line = (key: string, ...words: readonly string[]): string => `${key.padEnd(12)}${words.join('  ')}`;

/** Bytes as people read them. */
export function bytesText(bytes: unknown): string {
  if (typeof bytes !== 'number') return '-';
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function mirrorText(document: Values): string {
  const body = document['role'] === 'target' ? targetLines(document) : sourceLines(document);
  return `${body.join('\n')}\n`;
}

function sourceLines(document: Values): string[] {
  const marks = group(document['marks']);
  return [
    ...headLines(document),
    ...standingLines(document),
    ...heldLines(document),
    journalLine(document, 'usedBytes'),
    line('marks', `${text(marks['admitted'])} written, ${text(marks['durable'])} durable here`),
    ...volumeLines(document),
    ...storageLines(group(document['storage'])),
    ...list(document['targets']).flatMap(targetOfSource),
    ...list(document['recorders']).flatMap(recorderOfSource),
  ];
}

/** When writes are answered; of one that is the source no more, or not alone, why, and what to say. */
function standingLines(document: Values): string[] {
  const { standing, reason } = group(document['succession']);
  const answers = `${text(document['acknowledge'])}: can be lost: ${text(document['canBeLost'])}`;
  const serves = standing === 'source' || standing === 'split-brain';
  return [
    ...(typeof reason === 'string' ? [line('standing', reason)] : []),
    line('answers', serves ? answers : 'no writes any more'),
  ];
}

const heldLines = ({ held }: Values): string[] =>
  Array.isArray(held) ? held.map((why) => line('held', text(why))) : [];

function targetLines(document: Values): string[] {
  const links = Array.isArray(document['links']) ? document['links'].map(text) : [];
  return [
    ...headLines(document),
    line(
      'source',
      links.length === 0 ? 'is not there' : `session ${text(document['session'])} from ${links.join(', ')}`,
    ),
    journalLine(document, 'usedBytes'),
    line(
      'marks',
      `${text(document['received'])} received, ${text(document['durable'])} durable, ${text(document['committed'])} committed`,
    ),
    line('cut', `${text(document['cut'])}: what the volumes show`),
    ...volumeLines(document),
    ...storageLines(group(document['storage'])),
    ...historyLines(group(document['history'])),
  ];
}

/** What a target keeps itself, if it does. */
function historyLines({ path, state, kept, storedBytes, letGo, images, problem }: Values): string[] {
  if (path === undefined) return [];
  const { done, total } = group(images);
  const filled = typeof done === 'number' ? [`${done} of ${text(total)} MiB of the volumes taken`] : [];
  const missed = typeof letGo === 'number' && letGo > 0 ? [`did not keep up ${letGo} times`] : [];
  return [
    line(
      'history',
      text(path),
      `${text(state)}, up to mark ${text(kept)}`,
      bytesText(storedBytes),
      ...filled,
      ...missed,
    ),
    ...(typeof problem === 'string' ? [line('', `last: ${problem}`)] : []),
  ];
}

const headLines = (document: Values): string[] => [
  line('group', `${text(document['group'])}, ${text(document['role'])}${nameOf(document)}, ${text(document['state'])}`),
  line('generation', text(document['generation'])),
];

const nameOf = ({ name }: Values): string => (name === undefined ? '' : ` ${text(name)}`);

function journalLine(document: Values, used: string): string {
  const journal = group(document['journal']);
  return line(
    'journal',
    text(journal['path']),
    `${bytesText(journal[used])} of ${bytesText(journal['bytes'])}`,
    ...troubles(journal),
  );
}

const volumeLines = (document: Values): string[] =>
  list(document['volumes']).map((volume) =>
    line('volume', text(volume['name']), text(volume['path']), bytesText(volume['bytes'])),
  );

/** What stands behind the volumes, where something is wrong with it. */
function storageLines(storage: Values): string[] {
  const wrong = troubles(storage);
  return wrong.length === 0 ? [] : [line('storage', ...wrong)];
}

function troubles({ errno, hungMs }: Values): string[] {
  const fails = typeof errno === 'number' && errno !== 0 ? [`fails (errno ${errno})`] : [];
  const hangs =
    typeof hungMs === 'number' && hungMs > 0 ? [`has not answered for ${(hungMs / 1000).toFixed(1)} s`] : [];
  return [...fails, ...hangs];
}

/** A target as its source sees it: what it has, how far behind it is, and what is wrong there. */
function targetOfSource(target: Values): string[] {
  const lag = group(target['lag']);
  const seconds = typeof lag['seconds'] === 'number' ? `${lag['seconds'].toFixed(1)} s` : '-';
  const wrong = [
    ...troubles(group(target['journal'])).map((what) => `its journal ${what}`),
    ...troubles(group(target['storage'])).map((what) => `its storage ${what}`),
  ];
  return [
    line('target', text(target['name']), text(target['state']), ...wrong),
    line(
      '',
      `received ${text(target['received'])}, durable ${text(target['durable'])}, cut ${text(target['applied'])}`,
    ),
    line('', `behind by ${text(lag['marks'])} writes, ${bytesText(lag['bytes'])}, ${seconds}`),
    ...(Number(target['connections']) > 1 ? [line('', `over ${text(target['connections'])} connections`)] : []),
    ...orderLines(target),
    ...resyncLines(target),
  ];
}

/** A recorder, or the log device that records, as its source sees it: whether it takes what is written, and what it misses. */
function recorderOfSource(recorder: Values): string[] {
  const { name, path, state, since, kept, lagBytes, letGo, images, problem } = recorder;
  const from = typeof since === 'string' && state === 'away' ? ` since ${since}` : '';
  // How far it is can be said by it alone.
  const upTo = Number(kept) > 0 ? `up to mark ${text(kept)}` : 'how far is not known yet';
  const { done, total } = group(images);
  const gaps = Number(letGo) > 0 ? [line('', `did not keep up ${text(letGo)} times: what it missed is a gap`)] : [];
  return [
    line(
      'recorder',
      text(name),
      ...(typeof path === 'string' ? [path] : []),
      `${text(state)}${from}`,
      upTo,
      lagBytes === null ? 'let go of: what it misses now is a gap' : `behind by ${bytesText(lagBytes)}`,
      ...(typeof done === 'number' ? [`${done} of ${text(total)} MiB of the volumes taken`] : []),
    ),
    ...gaps,
    ...(typeof problem === 'string' ? [line('', `last: ${problem}`)] : []),
  ];
}

/** What an operator has said, and is not over. */
function orderLines(target: Values): string[] {
  const { paused, resync } = group(target['ordered']);
  const how = resync === 'in place' ? ' --in-place' : '';
  return [
    ...(paused === true ? [line('', 'paused by an operator: say stillbeat mirror resume')] : []),
    ...(typeof resync === 'string' ? [line('', `mirror resync${how} was said, and is not over`)] : []),
  ];
}

function resyncLines(target: Values): string[] {
  const { problem, outOfSyncBytes } = target;
  const trouble = typeof problem === 'string' ? [line('', `last: ${problem}`)] : [];
  const lacks =
    typeof outOfSyncBytes === 'number' && outOfSyncBytes > 0
      ? [line('', `out of sync: no more than ${bytesText(outOfSyncBytes)}`)]
      : [];
  const { done, total, secondsLeft } = group(target['resync']);
  if (typeof done !== 'number' || typeof total !== 'number' || total === 0) return [...lacks, ...trouble];
  const left = typeof secondsLeft === 'number' ? `, ${secondsLeft} s left` : '';
  const share = ((100 * done) / total).toFixed(1);
  return [...lacks, line('', `compared ${share} % of what may differ${left}`), ...trouble];
}

/** What a change of roles says when it is done. */
export function takeoverText(document: Values): string {
  const { role, generation, mark, mayBeLost, givenUp } = document;
  const lost = Array.isArray(mayBeLost) ? (mayBeLost as string[]) : [];
  const given = group(givenUp);
  const lines = [
    ...(role === undefined
      ? [`handed over  at mark ${text(mark)}: say stillbeat mirror takeover at the target`]
      : [`role        ${text(role)}`]),
    ...(generation === undefined ? [] : [`generation  ${text(generation)}, begun behind mark ${text(mark)}`]),
    ...lost.map((what) => `may be lost ${what}`),
    ...(given['writes'] === undefined
      ? []
      : [`given up    ${text(given['writes'])} writes, ${bytesText(given['bytes'])}`]),
    ...(givenUp === 'unknown' ? ['given up    what was written behind the takeover'] : []),
  ];
  return `${lines.join('\n')}\n`;
}
