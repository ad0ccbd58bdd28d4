/**
 * From a settings file to Settings, or to SettingsErrors with one line for each thing that is wrong with it.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { AgentError } from '../base/errors.ts';
import { deriveSettings } from './derive.ts';
import type { Given, SettingsFile } from './given.ts';
import { checkMeaning } from './meaning.ts';
import { Problems } from './problems.ts';
import { applySchema } from './schema-problems.ts';
import type { Settings } from './settings.ts';
import { readSource } from './source.ts';

export { SettingsErrors } from './problems.ts';

const FILE_BYTES_MAX = 1024 * 1024;

const EXAMPLE = 'config/two-node.yaml';
const readMends = (example: string): Readonly<Record<string, string>> => ({
  ENOENT: `does not exist: name the settings file with --config, or make one from ${example}`,
  EACCES: 'may not be read: start as root, or give yourself the right to read it',
  EISDIR: 'is a directory: name a file in it',
});

/** Reads and checks a settings file (YAML or JSON). */
export const loadSettings = (path: string): Settings => parseSettings(readSettingsFile(path, EXAMPLE), path);

/** The text of a settings file. `example`: what an operator may start from who has none. */
export function readSettingsFile(path: string, example: string): string {
  try {
    return readText(path);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const what = readMends(example)[code] ?? `cannot be read (${code}): check the disk it is on`;
    throw new AgentError('usage', `settings file ${path} ${what}`, { cause: error });
  }
}

/** Of a file that is somebody else's, a volume or a device that never ends, no more is read than settings can have. */
function readText(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    const content = Buffer.alloc(FILE_BYTES_MAX + 1);
    let length = 0;
    for (let got = -1; got !== 0 && length < content.length; length += got) {
      got = readSync(descriptor, content, length, content.length - length, null);
    }
    if (length <= FILE_BYTES_MAX) return content.toString('utf8', 0, length);
  } finally {
    closeSync(descriptor);
  }
  throw new AgentError('usage', `settings file ${path} is larger than 1 MiB: is it the right file? name the settings`);
}

/** The settings in `text`; `file` is what messages call it. */
export function parseSettings(text: string, file: string): Settings {
  const source = readSource(text, file);
  const problems = new Problems(file, source.lineOf);
  const given: Given<SettingsFile> | null = applySchema(source.value, problems);
  if (given) checkMeaning(given, problems);
  problems.throwIfAny();
  return deriveSettings(source.value as SettingsFile, file);
}
