/** A new journal that is made while the process already answers: in pieces, whole or not at all. */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { formatInTurns, isUnmade } from '../../../../agent/mirror/source/format-journal.ts';
import { JOURNAL_RING_OFFSET } from '../../../../agent/mirror/wire/layout.ts';
import { freshSuper } from '../store/journal-world.ts';

const PIECE = 4 << 20;
const PIECES = 4;
const SUPER = freshSuper({ ringBytes: PIECES * PIECE, windowBytes: PIECE });

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stillbeat-format-'));
  path = join(folder, 'journal');
});

afterEach(() => rmSync(folder, { recursive: true }));

test('whoever asks meanwhile is answered, and there is no journal before all of it is written', async () => {
  const state = { isOver: false };
  const made = formatInTurns(path, SUPER).finally(() => (state.isOver = true));
  let turns = 0;
  while (!state.isOver) {
    expect([isUnmade(path), existsSync(`${path}.new`)]).toEqual([true, true]);
    turns++;
    await nextTurn();
  }
  await made;
  expect(turns).toBeGreaterThanOrEqual(PIECES);
  expect([isUnmade(path), readdirSync(folder)]).toEqual([false, ['journal']]);
  expect(statSync(path).size).toBe(JOURNAL_RING_OFFSET + SUPER.ringBytes);
});

test('what a start has left that was ended in the middle is made anew, and a journal that is there stays', async () => {
  writeFileSync(`${path}.new`, 'half');
  await formatInTurns(path, SUPER);
  expect(readdirSync(folder)).toEqual(['journal']);
  await expect(formatInTurns(path, SUPER)).rejects.toThrow(
    `journal ${path} is there already: remove it or name another`,
  );
});

test('a process that is told to end leaves it, and nothing of it', async () => {
  let asked = 0;
  await expect(formatInTurns(path, SUPER, () => ++asked === 2)).rejects.toThrow('was not made: the process ends');
  expect(readdirSync(folder)).toEqual([]);
});
