import { expect, test } from 'vitest';
import { OutOfSync } from '../../../../agent/mirror/core/out-of-sync.ts';
import { saveBitmaps, takeBitmaps, type SavedTarget } from '../../../../agent/mirror/source/saved-bitmaps.ts';
import { JOURNAL_STATE, type JournalSuper } from '../../../../agent/mirror/store/superblock.ts';
import { freshSuper } from '../store/journal-world.ts';

const VOLUMES = [
  { name: 'a', bytes: 5 * 65_536 + 1 },
  { name: 'b', bytes: 100 },
];
const END = { mark: 40, chain: 0xfeedn };
const superblock = (change: Partial<JournalSuper> = {}): JournalSuper =>
  freshSuper({ volumes: VOLUMES, state: JOURNAL_STATE.clean, ...change });

class OneFile {
  bytes: Uint8Array | null = null;
  path = '';

  put(path: string, bytes: Uint8Array): void {
    this.path = path;
    this.bytes = bytes.slice();
  }

  take(): Uint8Array | null {
    const { bytes } = this;
    this.bytes = null;
    return bytes;
  }
}

function saved(): { files: OneFile; target: SavedTarget } {
  const lacks = new OutOfSync(VOLUMES, 10);
  lacks.mayShow({ mark: 12, chain: 99n });
  lacks.note(0, 5 * 65_536, 1);
  lacks.note(1, 0, 1);
  const target = { name: 'east', isOutdated: true, lacksSince: 1_700_000_000_123, bitmap: lacks.save() };
  const files = new OneFile();
  saveBitmaps(files, 'journal', superblock(), END, [target]);
  return { files, target };
}

test('CR5: what was saved at a stop in order is there at the next start, once', () => {
  const { files, target } = saved();
  expect(takeBitmaps(files, 'journal', superblock(), END)).toEqual([target]);
  expect(takeBitmaps(files, 'journal', superblock(), END)).toEqual([]);
});

test.each<[string, Partial<JournalSuper>, Partial<typeof END>]>([
  ['of a journal that was not stopped in order', { state: JOURNAL_STATE.consistent }, {}],
  ['of another generation', { generation: new Uint8Array(16).fill(3) }, {}],
  ['of a journal that ends elsewhere', {}, { mark: 41 }],
  ['of another history', {}, { chain: 1n }],
])('CR5: a file %s is not believed, and is gone', (_, change, end) => {
  const { files } = saved();
  expect(takeBitmaps(files, 'journal', superblock(change), { ...END, ...end })).toEqual([]);
  expect(files.bytes).toBeNull();
});

test.each([
  ['/var/lib/stillbeat/erp.journal', '/var/lib/stillbeat/erp.journal.bitmaps'],
  // A reboot makes /dev anew: what lies there would be gone, and all would be compared.
  ['/dev/nvme0n1p3', '/var/lib/stillbeat/group.bitmaps'],
  ['/dev/mapper/vg-journal', '/var/lib/stillbeat/group.bitmaps'],
  // As long as the journal itself.
  ['/dev/shm/journal', '/dev/shm/journal.bitmaps'],
])('CR5: those of journal %s lie in %s', (journal, path) => {
  const files = new OneFile();
  saveBitmaps(files, journal, superblock(), END, []);
  expect(files.path).toBe(path);
  const take = (asked: string) => (asked === path ? files.take() : null);
  expect(takeBitmaps({ take }, journal, superblock(), END)).toEqual([]);
  expect(files.bytes).toBeNull();
});

test('CR5: no damage is believed', () => {
  const { files } = saved();
  const whole = files.bytes ?? new Uint8Array(0);
  for (let at = 0; at < whole.length; at++) {
    files.bytes = whole.slice();
    files.bytes[at] = (files.bytes[at] ?? 0) ^ 1;
    expect(takeBitmaps(files, 'journal', superblock(), END), `byte ${at}`).toEqual([]);
  }
  for (const length of [0, 7, 15, 16, whole.length - 1]) {
    files.bytes = whole.slice(0, length);
    expect(takeBitmaps(files, 'journal', superblock(), END), `${length} bytes`).toEqual([]);
  }
});
