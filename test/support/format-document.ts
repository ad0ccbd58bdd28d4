/**
 * Holds a format document against the code, both ways: whatever is in one of them only, or differs, fails. The document is
 * read as its readers see it: tables under a line that names them.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Fields } from '../../agent/base/fields.ts';

interface Row {
  readonly cells: readonly string[];
}

interface Drawn {
  readonly title: RegExpExecArray;
  readonly rows: readonly Row[];
}

/** The rows of each table that a line of this form introduces, by name. */
function tablesAfter(lead: RegExp, document: string): Map<string, Drawn> {
  const tables = new Map<string, Drawn>();
  const lines = document.split('\n');
  lines.forEach((line, index) => {
    const title = lead.exec(line);
    const name = title?.[1];
    if (!title || name === undefined) return;
    if (tables.has(name)) throw new Error(`${name} is drawn twice`);
    tables.set(name, { title, rows: rowsFrom(lines, index + 1) });
  });
  return tables;
}

function rowsFrom(lines: readonly string[], from: number): Row[] {
  const start = lines.findIndex((line, index) => index >= from && line.startsWith('|'));
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'));
  return lines.slice(start + 2, end).map((line) => ({
    cells: line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  }));
}

const isFields = (value: unknown): value is Fields<string> =>
  typeof value === 'object' && value !== null && 'at' in value && 'size' in value && 'bytes' in value;

const isSet = (value: unknown): value is Record<string, number> =>
  typeof value === 'object' && value !== null && Object.values(value).every((entry) => typeof entry === 'number');

/** A closed set as the document shows it: value and name of each member, in order. */
function membersOf(value: unknown): [number, string][] {
  if (Array.isArray(value)) return value.map((name, index) => [index, String(name)]);
  return Object.entries(value as Record<string, number>).map(([name, number]) => [number, name]);
}

export interface FormatCode {
  /** All that the modules of the format export, by name. */
  readonly modules: Record<string, unknown>;
  /** Closed sets that are lists, or live elsewhere. */
  readonly sets?: Record<string, unknown>;
  /** How many records there are at least: a document that draws none must not pass. */
  readonly recordsMin: number;
}

export function describeFormat(document: URL, code: FormatCode): void {
  const text = readFileSync(document, 'utf8');
  const drawn = tablesAfter(/^Table `(\w+)`, (\d+) bytes$/, text);
  const drawnSets = tablesAfter(/^Closed set `(\w+)`$/, text);
  const exported = Object.entries(code.modules);
  const records = exported.filter(([, value]) => isFields(value)) as [string, Fields<string>][];
  const sets: [string, unknown][] = [
    ...exported.filter(([, value]) => !isFields(value) && isSet(value)),
    ...Object.entries(code.sets ?? {}),
  ];
  const constants = exported.filter(([, value]) => typeof value === 'number' || typeof value === 'string');

  describe('FORMAT.md draws what the code writes', () => {
    test('the same records, each drawn once', () => {
      expect([...drawn.keys()].sort()).toEqual(records.map(([name]) => name).sort());
      expect(records.length).toBeGreaterThanOrEqual(code.recordsMin);
    });

    test.each(records)('%s: offset, size and name of each field, in order', (name, fields) => {
      const table = drawn.get(name);
      const documented = table?.rows.map(({ cells }) => [Number(cells[0]), Number(cells[1]), cells[2]]);
      const coded = Object.keys(fields.at).map((field) => [fields.at[field], fields.size[field], field]);
      expect(documented).toEqual(coded);
      expect(Number(table?.title[2])).toBe(fields.bytes);
    });

    test('the same closed sets', () => {
      expect([...drawnSets.keys()].sort()).toEqual(sets.map(([name]) => name).sort());
    });

    test.each(sets)('%s: value and name of each member', (name, value) => {
      const documented = drawnSets.get(name)?.rows.map(({ cells }) => [Number(cells[0]), cells[1]]);
      expect(documented).toEqual(membersOf(value));
    });

    test('the same constants with the same values', () => {
      const [, section = ''] = text.split('\n## Constants\n');
      const rows = rowsFrom((section.split('\n## ')[0] ?? '').split('\n'), 0).map(({ cells }) => {
        const value = cells[1] ?? '';
        return [cells[0], value.startsWith('"') ? value.slice(1, -1) : Number(value)] as const;
      });
      expect(Object.fromEntries(rows)).toEqual(Object.fromEntries(constants));
      expect(rows.length).toBe(constants.length);
    });

    test('every field says what it means, unless its name does', () => {
      for (const [name, { rows }] of drawn) {
        for (const { cells } of rows) {
          const isSilent = ['reserved', 'padding', 'zero'].includes(cells[2] ?? '');
          expect(isSilent || (cells[3] ?? '') !== '', `${name}.${cells[2]}`).toBe(true);
        }
      }
    });

    test('every link inside the document leads to a heading', () => {
      const headings = [...text.matchAll(/^#+ (.*)$/gm)].map((match) => match[1]?.toLowerCase().replaceAll(' ', '-'));
      for (const [, target] of text.matchAll(/\]\(#([^)]*)\)/g)) expect(headings).toContain(target);
    });
  });
}
