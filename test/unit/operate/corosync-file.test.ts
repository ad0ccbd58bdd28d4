import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseCorosyncConf, readCorosyncConf } from '../../../agent/operate/corosync-file.ts';

const config = new URL('../../../config/', import.meta.url);
const directory = mkdtempSync(join(tmpdir(), 'corosync-file-'));
afterAll(() => rmSync(directory, { recursive: true }));

describe('corosync.conf', () => {
  test.each(['corosync-single-link.conf', 'corosync-second-link.conf'])('%s is understood', (file) => {
    expect(parseCorosyncConf(readFileSync(new URL(file, config), 'utf8'))).toEqual({
      tokenMs: 3000,
      coefficientMs: 650,
      hasLinks: true,
      nodes: 3,
    });
  });

  test('what it leaves out is what corosync takes', () => {
    expect(parseCorosyncConf('totem {\n\tversion: 2\n}\n')).toEqual({
      tokenMs: 3000,
      coefficientMs: 650,
      hasLinks: true,
      nodes: 0,
    });
  });

  test('only totem counts, the last value does, comments do not', () => {
    const text = `# token: 9\ntoken: 7\ntotem{\n  token:1000\n  #token: 8\n  token: 1500\n transport: udpu
      token_coefficient: 0\n interface {\n token: 5\n }\n}\nnodelist {\n node {\n }\n}\n`;
    expect(parseCorosyncConf(text)).toEqual({ tokenMs: 1500, coefficientMs: 0, hasLinks: false, nodes: 1 });
  });

  test.each([
    ['totem {\n token: soon\n}', 'totem.token is soon, not a number of milliseconds'],
    ['totem {\n token: 0\n}', 'totem.token is 0, not a number of milliseconds'],
    ['totem {\n token: -5\n}', 'totem.token is -5, not a number of milliseconds'],
    ['totem {\n token_coefficient: much\n}', 'totem.token_coefficient is much, not a number of milliseconds'],
    ['totem {\n token: 3000\n', 'section totem is not closed'],
    ['totem {\n}\n}\n', 'line 3 closes a section that was not opened'],
    ['totem {\n token 3000\n}', 'line 2 is neither a key with its value nor a section'],
    ['\u0000\u0001\u0002', 'line 1 is neither a key with its value nor a section'],
  ])('%j: %s', (text, problem) => expect(parseCorosyncConf(text)).toBe(problem));

  test('no file is no problem: there is no corosync to look after', () => {
    expect(readCorosyncConf(join(directory, 'none'))).toEqual({ conf: null, problem: null });
  });

  test('what cannot be read is one line with the path and the reason', () => {
    expect(readCorosyncConf(directory).problem).toBe(`${directory} is no file: no advice on its token`);
    const under = join(directory, 'file', 'conf');
    writeFileSync(join(directory, 'file'), '');
    expect(readCorosyncConf(under).problem).toBe(`${under} cannot be read (ENOTDIR): no advice on its token`);
    const long = join(directory, 'long');
    writeFileSync(long, '');
    truncateSync(long, 2 << 20);
    expect(readCorosyncConf(long).problem).toBe(`${long} is too long for a corosync.conf`);
    const wrong = join(directory, 'wrong');
    writeFileSync(wrong, 'totem {\n token: soon\n}\n');
    expect(readCorosyncConf(wrong).problem).toBe(
      `${wrong}: totem.token is soon, not a number of milliseconds: no advice on its token`,
    );
  });
});
