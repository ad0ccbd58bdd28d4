/** Figures as people read them: page, terminal and report say the same. */

const dash = '–';

/** Milliseconds: 0.24 ms, 12 ms, 1.5 s. */
export function msText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return dash;
  if (ms < 10) return `${trimmed(ms, 2)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${trimmed(ms / 1000, 1)} s`;
}

const trimmed = (value: number, digits: number): string => String(Number(value.toFixed(digits)));

export function bytesText(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined || !Number.isFinite(bytes)) return dash;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${trimmed(value, value < 10 && unit > 0 ? 1 : 0)} ${units[unit] ?? ''}`;
}

/** A count, with thin spaces between thousands. */
export function countText(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return dash;
  return String(Math.round(count)).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** Something a second: 0, 0.4, 12, 1 234. */
export function rateText(perSecond: number | null | undefined): string {
  if (perSecond === null || perSecond === undefined || !Number.isFinite(perSecond)) return dash;
  return perSecond < 10 ? trimmed(perSecond, 1) : countText(perSecond);
}

/** How long something lasted: 0.15 s, 4 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function durationText(ms: number): string {
  if (!Number.isFinite(ms)) return dash;
  if (ms < 1000) return `${trimmed(Math.max(0, ms) / 1000, 2)} s`;
  if (ms < 10_000) return `${trimmed(ms / 1000, 1)} s`;
  const s = Math.round(ms / 1000);
  const parts = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
    small === 0 ? `${big} ${bigUnit}` : `${big} ${bigUnit} ${small} ${smallUnit}`;
  if (s < 60) return `${s} s`;
  if (s < 3600) return parts(Math.floor(s / 60), 'min', s % 60, 's');
  const minutes = Math.round(s / 60);
  if (s < 86_400) return parts(Math.floor(minutes / 60), 'h', minutes % 60, 'min');
  const hours = Math.round(s / 3600);
  return parts(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** A share of one as per cent. */
export function shareText(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return '< 0.1 %';
  // All but a little is not all.
  return percent < 100 && percent > 99.9 ? '> 99.9 %' : `${trimmed(percent, 1)} %`;
}

/** a, b and c. */
export function listText(words: readonly string[]): string {
  if (words.length < 2) return words.join('');
  return `${words.slice(0, -1).join(', ')} and ${words.at(-1) ?? ''}`;
}
