/** Reads of a receive volume see one cut, and neither readers nor cuts hold each other up for ever. */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CutGate } from '../../../../agent/mirror/target/cut-gate.ts';
import { ReceiveVolume } from '../../../../agent/mirror/target/receive-volume.ts';

describe('gate', () => {
  test('a cut waits for the reads that are under way, and reads that come then wait for the cut', () => {
    const gate = new CutGate();
    const order: string[] = [];
    let end = () => {};
    gate.read((done) => {
      order.push('first read');
      end = done;
    });
    gate.shut(() => order.push('cut'));
    gate.read((done) => {
      order.push('second read');
      done();
    });
    expect(order).toEqual(['first read']);
    end();
    end();
    expect(order).toEqual(['first read', 'cut']);
    gate.open();
    expect(order).toEqual(['first read', 'cut', 'second read']);
  });

  test('readers that never pause hold no cut up, and cuts that never pause hold no reader up', () => {
    const gate = new CutGate();
    let reads = 0;
    let cuts = 0;
    const running: (() => void)[] = [];
    const readAgain = (): void =>
      gate.read((done) => {
        reads++;
        running.push(() => {
          done();
          readAgain();
        });
      });
    const cutAgain = (): void =>
      gate.shut(() => {
        expect(running).toHaveLength(0);
        cuts++;
      });
    for (let i = 0; i < 4; i++) readAgain();
    for (let round = 1; round <= 50; round++) {
      const before = reads;
      cutAgain();
      for (const end of running.splice(0)) end();
      expect(cuts).toBe(round);
      gate.open();
      expect(reads).toBe(before + 4);
    }
  });
});

describe('volume', () => {
  let folder: string;
  let volume: ReceiveVolume;
  let hasCut = true;
  let gate: CutGate;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'stillbeat-receive-'));
    const path = join(folder, 'volume');
    writeFileSync(path, Buffer.alloc(8192, 'ab'));
    hasCut = true;
    gate = new CutGate();
    volume = ReceiveVolume.open({ name: 'one', path, bytes: 8192, gate, hasCut: () => hasCut });
  });
  afterEach(() => {
    volume.close();
    rmSync(folder, { recursive: true });
  });

  const read = async (offset: number, length: number): Promise<number | string> => {
    const into = new Uint8Array(length);
    const errno = await new Promise<number>((resolve) => volume.read(offset, into, resolve));
    return errno === 0 ? Buffer.from(into).toString() : errno;
  };

  test('is read at the cut, and not before there is one', async () => {
    expect(await read(1, 4)).toBe('baba');
    hasCut = false;
    expect(await read(1, 4)).toBe(5);
  });

  test('a read waits while a cut is brought in', async () => {
    gate.shut(() => {});
    let isDone = false;
    const reading = read(0, 2).then((found) => {
      isDone = true;
      return found;
    });
    expect(await new Promise((resolve) => setImmediate(() => resolve(isDone)))).toBe(false);
    gate.open();
    expect(await reading).toBe('ab');
  });

  test('nothing is written to it', async () => {
    const errno = async (call: (done: (errno: number) => void) => void) => new Promise<number>(call);
    expect(volume.readOnly).toBe(true);
    expect(await errno((done) => volume.write(0, 1, [new Uint8Array(1)], false, done))).toBe(1);
    expect(await errno((done) => volume.zero(0, 1, { fua: false, mayPunch: false, onlyIfFast: false }, done))).toBe(1);
    expect(await errno((done) => volume.trim(0, 1, false, done))).toBe(1);
    expect(await errno((done) => volume.flush(done))).toBe(0);
    expect(await read(0, 2)).toBe('ab');
  });

  test('one that became shorter is an error, not zeros', async () => {
    truncateSync(join(folder, 'volume'), 4096);
    expect(await read(4000, 200)).toBe(5);
  });
});
