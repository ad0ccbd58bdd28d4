/**
 * What stillbeat wants to know of a corosync.conf. Nothing here throws: the file is another program's, and whatever is
 * wrong with it is one line for the operator.
 *
 *     totem {
 *         token: 3000          a key and its value; a comment is a line of its own
 *         interface { ... }    sections may lie in sections
 *     }
 */
import { readFileSync, statSync } from 'node:fs';
import { COEFFICIENT_DEFAULT_MS, TOKEN_DEFAULT_MS } from './corosync-token.ts';

export interface CorosyncConf {
  readonly tokenMs: number;
  readonly coefficientMs: number;
  readonly hasLinks: boolean;
  /** Nodes of the node list; 0 without one. */
  readonly nodes: number;
}

export type ReadConf =
  | { readonly conf: CorosyncConf; readonly problem: null }
  /** No problem either: there is no such file, so no corosync to look after. */
  | { readonly conf: null; readonly problem: string | null };

/** No corosync.conf comes near this; a log that was named by mistake is not read to its end. */
const BYTES_MAX = 1024 * 1024;

export function readCorosyncConf(path: string): ReadConf {
  let text: string;
  try {
    const found = statSync(path);
    // A pipe would hold up the whole agent until somebody writes to it.
    if (!found.isFile()) return { conf: null, problem: `${path} is no file: no advice on its token` };
    const { size } = found;
    if (size > BYTES_MAX) return { conf: null, problem: `${path} is too long for a corosync.conf` };
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return { conf: null, problem: null };
    return { conf: null, problem: `${path} cannot be read (${code ?? message}): no advice on its token` };
  }
  const parsed = parseCorosyncConf(text);
  if (typeof parsed !== 'string') return { conf: parsed, problem: null };
  return { conf: null, problem: `${path}: ${parsed}: no advice on its token` };
}

/** The settings, or what is wrong in words. */
export function parseCorosyncConf(text: string): CorosyncConf | string {
  const values = new Map<string, string>();
  const sections: string[] = [];
  let nodes = 0;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const section = /^([\w.-]+)\s*\{$/.exec(line)?.[1];
    const pair = /^([\w.-]+)\s*:\s*(.*)$/.exec(line);
    if (section !== undefined) {
      sections.push(section);
      if (sections.join('.') === 'nodelist.node') nodes++;
    } else if (line === '}') {
      if (sections.pop() === undefined) return `line ${index + 1} closes a section that was not opened`;
    } else if (pair) values.set([...sections, pair[1]].join('.'), pair[2] ?? '');
    else return `line ${index + 1} is neither a key with its value nor a section`;
  }
  if (sections.length > 0) return `section ${sections.at(-1)} is not closed`;
  return confOf(values, nodes);
}

function confOf(values: ReadonlyMap<string, string>, nodes: number): CorosyncConf | string {
  const transport = values.get('totem.transport') ?? 'knet';
  const token = values.get('totem.token') ?? String(TOKEN_DEFAULT_MS);
  const coefficient = values.get('totem.token_coefficient') ?? String(COEFFICIENT_DEFAULT_MS);
  if (!/^[1-9]\d{0,8}$/.test(token)) return `totem.token is ${token}, not a number of milliseconds`;
  if (!/^\d{1,9}$/.test(coefficient)) return `totem.token_coefficient is ${coefficient}, not a number of milliseconds`;
  return {
    tokenMs: Number(token),
    coefficientMs: Number(coefficient),
    hasLinks: transport === 'knet',
    nodes,
  };
}
