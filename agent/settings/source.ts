/**
 * A settings file's text, taken apart with its line numbers kept. JSON goes the same way: it is YAML too.
 */
import { isCollection, isMap, isScalar, isSeq, LineCounter, parseDocument, isAlias, type Document } from 'yaml';
import { keyText, SettingsErrors, type KeyPath, type Problem } from './problems.ts';

export interface Source {
  readonly value: unknown;
  /** The line of a key (1 = first); of the nearest key above it where the file does not have it. */
  readonly lineOf: (path: KeyPath) => number;
}

type Fault = Document.Parsed['errors'][number] | Document.Parsed['warnings'][number];

const SYNTAX_MENDS: Readonly<Record<string, string>> = {
  TAB_AS_INDENT: 'indent with spaces',
  MULTIPLE_DOCS: 'keep one document and remove the line ---',
  TAG_RESOLVE_FAILED: 'remove the tag (the word with !)',
};
const SYNTAX_MEND = 'correct the YAML; text with : [ ] { } or # in it needs quotes';

/** Reads YAML or JSON; throws SettingsErrors with every syntax error when there is one. */
export function readSource(text: string, file: string): Source {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) throw new SettingsErrors(faults.map((fault) => problemOf(fault, text, file, lines)));
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    // Aliases without an anchor, or so many that they would fill the memory.
    const what = error instanceof Error ? error.message : String(error);
    const mend = 'write values out instead of using & and *';
    throw new SettingsErrors([{ line: 1, what: `${file}:1: not readable: ${what}`, mend }]);
  }
  return { value, lineOf: (path) => lines.linePos(offsetOf(document, path)).line };
}

function problemOf(fault: Fault, text: string, file: string, lines: LineCounter): Problem {
  const { line, col } = lines.linePos(fault.pos[0]);
  if (fault.code === 'DUPLICATE_KEY') {
    const key = /^["']?([^"':,{}[\]\s]+)/.exec(text.slice(fault.pos[0]))?.[1] ?? '';
    return { line, what: `${file}:${line}: ${keyText([key])}: the key is there twice`, mend: 'keep one of them' };
  }
  const why = (fault.message.split(/;|\n/)[0] ?? '').trim();
  const what = `${file}:${line}: not readable at column ${col}: ${why}`;
  return { line, what, mend: SYNTAX_MENDS[fault.code] ?? SYNTAX_MEND };
}

/** Where the key at `path` stands in the text, or its nearest ancestor that is there. */
function offsetOf(document: Document.Parsed, path: KeyPath): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const key of path) {
    const child = childOf(isAlias(node) ? node.resolve(document) : node, key);
    if (child === undefined) break;
    offset = child.offset ?? offset;
    node = child.node;
  }
  return offset;
}

function childOf(node: unknown, key: string | number): { offset: number | undefined; node: unknown } | undefined {
  if (isMap(node)) {
    const pair = node.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(key));
    return pair && { offset: startOf(pair.key), node: pair.value };
  }
  if (isSeq(node) && typeof key === 'number' && key < node.items.length) {
    return { offset: startOf(node.items[key]), node: node.items[key] };
  }
  return undefined;
}

const startOf = (node: unknown): number | undefined =>
  isScalar(node) || isCollection(node) || isAlias(node) ? node.range?.[0] : undefined;
