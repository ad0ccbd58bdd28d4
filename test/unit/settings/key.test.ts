import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';
import { KeyError, keysOf, newKeyText, readKeyFile } from '../../../agent/settings/key.ts';

const folder = mkdtempSync(join(tmpdir(), 'stillbeat-key-'));
afterAll(() => rmSync(folder, { recursive: true }));

const BYTES = Uint8Array.from({ length: 32 }, (_, index) => index + 200);

function keyFile(name: string, content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  chmodSync(path, mode);
  return path;
}

describe('a key file', () => {
  test('made by newKeyText gives the bytes back', () => {
    expect(readKeyFile(keyFile('new', newKeyText(BYTES)))).toEqual([BYTES]);
  });

  test('of 64 digits may lack the line end, or be in capitals', () => {
    const text = newKeyText(BYTES).trim();
    expect(readKeyFile(keyFile('bare', text))).toEqual([BYTES]);
    expect(readKeyFile(keyFile('capitals', `${text.toUpperCase()}\r\n`))).toEqual([BYTES]);
  });

  test('of 32 to 1024 raw bytes is taken as it is', () => {
    expect(readKeyFile(keyFile('raw', BYTES))).toEqual([BYTES]);
    expect(readKeyFile(keyFile('long', new Uint8Array(1024)))).toEqual([new Uint8Array(1024)]);
  });

  test('may be a link, and may be read-only', () => {
    const path = keyFile('target', newKeyText(BYTES), 0o400);
    symlinkSync(path, join(folder, 'link'));
    expect(readKeyFile(join(folder, 'link'))).toEqual([BYTES]);
  });

  test.each(['0640', '0604', '0644', '0620', '0601'])('of mode %s is refused', (mode) => {
    const path = keyFile(`mode-${mode}`, newKeyText(BYTES), Number.parseInt(mode, 8));
    const line = `key file ${path} is readable by others (mode ${mode}): chmod 600 ${path}`;
    expect(() => readKeyFile(path)).toThrow(new KeyError(line.slice(0, line.indexOf(': chmod')), `chmod 600 ${path}`));
    expect(() => readKeyFile(path)).toThrow(line);
  });

  test('that cannot be used ends with the exit status for keys', () => {
    try {
      readKeyFile(join(folder, 'none'));
      expect.unreachable();
    } catch (error) {
      expect((error as KeyError).exitStatus).toBe(4);
    }
  });

  test('that is missing is said so', () => {
    expect(() => readKeyFile(join(folder, 'none'))).toThrow(/^key file .*none is missing: copy it from another node/);
  });

  test('that is a directory or a pipe is refused without waiting for it', () => {
    expect(() => readKeyFile(folder)).toThrow('is not a regular file');
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', ['-m', '600', pipe]);
    expect(() => readKeyFile(pipe)).toThrow('is not a regular file');
  });
});

describe('its content', () => {
  const content = (text: string) => keysOf(Buffer.from(text), '/k');

  test('of 31 bytes is too short, of 32 long enough', () => {
    expect(() => keysOf(BYTES.subarray(1), '/k')).toThrow(
      'key file /k is too short (31 bytes, at least 32 are needed)',
    );
    expect(keysOf(BYTES, '/k')).toEqual([BYTES]);
    expect(() => content('')).toThrow('key file /k is too short (0 bytes');
  });

  test('of 1025 bytes is too long', () => {
    expect(() => keysOf(new Uint8Array(1025), '/k')).toThrow('key file /k is longer than 1024 bytes');
  });

  test('of several lines is several keys, the first first; line ends and blank lines do not matter', () => {
    const [one, two] = [newKeyText(BYTES), newKeyText(BYTES.toReversed())];
    expect(content(`${one}${two}`)).toEqual([BYTES, BYTES.toReversed()]);
    expect(content(`${two.trim()}\r\n\r\n${one.trim()}`)).toEqual([BYTES.toReversed(), BYTES]);
    expect(() => content(`${one}${two.slice(1)}`)).toThrow('key file /k has 63 hexadecimal digits instead of 64');
  });

  test.each([32, 63, 65, 128])('of %i hexadecimal digits is a damaged copy', (digits) => {
    expect(() => content('a'.repeat(digits))).toThrow(`key file /k has ${digits} hexadecimal digits instead of 64`);
  });
});

test('a new key is made of 32 bytes and nothing else', () => {
  expect(newKeyText(BYTES)).toMatch(/^[0-9a-f]{64}\n$/);
  expect(() => newKeyText(BYTES.subarray(1))).toThrow(RangeError);
});
