/**
 * `stillbeat check --config FILE [--json]`: everything that would stop `run` or make it slow, each with its mend.
 * Exit status 0: nothing stops `run` (warnings there may be); 1: something does; 2: bad usage or settings.
 */
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { runChecks } from '../check/checks.ts';
import { error, type Finding } from '../check/finding.ts';
import { loadSettings, SettingsErrors } from '../settings/load.ts';
import type { Settings } from '../settings/settings.ts';
import { refuseUsage, reportError } from './arguments.ts';

export async function check(argv: string[]): Promise<number> {
  let options: { config?: string; json?: boolean };
  try {
    options = parseArgs({ args: argv, options: { config: { type: 'string' }, json: { type: 'boolean' } } }).values;
  } catch (caught) {
    return refuseUsage('check', caught);
  }
  const { config, json = false } = options;
  if (config === undefined) return refuseUsage('check', '--config is missing');
  let settings: Settings;
  try {
    settings = loadSettings(config);
  } catch (caught) {
    if (!(caught instanceof AgentError)) throw caught;
    if (!json) return reportError(null, caught);
    print(jsonText(settingsFindings(caught)));
    return caught.exitStatus;
  }
  const findings = await runChecks(settings);
  print(json ? jsonText(findings) : listText(findings));
  return isFine(findings) ? EXIT.ok : EXIT.failed;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

const isFine = (findings: readonly Finding[]): boolean => findings.every(({ level }) => level !== 'error');

/** Settings that cannot be used, as findings: one for each thing that is wrong with them. */
export function settingsFindings(fault: AgentError): Finding[] {
  if (fault instanceof SettingsErrors) return fault.found.map(({ what, mend }) => error('settings', what, mend));
  const cut = fault.message.lastIndexOf(': ');
  return [error('settings', fault.message.slice(0, cut), fault.message.slice(cut + 2))];
}

/** The document that `--json` prints. */
export function jsonText(findings: readonly Finding[]): string {
  return JSON.stringify({ ok: isFine(findings), findings }, null, 2);
}

/** One line for each finding, in columns, and one that sums up. */
export function listText(findings: readonly Finding[]): string {
  const width = Math.max(0, ...findings.map(({ name }) => name.length));
  const lines = findings.map(({ level, name, what, mend }) => {
    return `${level.padEnd('warning'.length)}  ${name.padEnd(width)}  ${what}${mend === null ? '' : ` -> ${mend}`}`;
  });
  return [...lines, summary(findings)].join('\n');
}

function summary(findings: readonly Finding[]): string {
  const count = (level: Finding['level']) => findings.filter((finding) => finding.level === level).length;
  const told = (number: number, word: string) => `${number} ${word}${number === 1 ? '' : 's'}`;
  const verdict = isFine(findings) ? 'nothing stops run' : 'run would stop';
  return `${verdict}: ${told(count('error'), 'error')}, ${told(count('warning'), 'warning')}`;
}
