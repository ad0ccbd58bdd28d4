import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CorosyncAdvice, type PeerDelays } from '../../../agent/operate/corosync-advice.ts';

const directory = mkdtempSync(join(tmpdir(), 'corosync-advice-'));
afterAll(() => rmSync(directory, { recursive: true }));
const conf = join(directory, 'corosync.conf');
const write = (token: string): void => writeFileSync(conf, `totem {\n  token: ${token}\n}\n`);

const peer = (rttMs: number | null, lagMs: number | null): PeerDelays => ({
  network: { reachable: rttMs !== null, rttMs },
  storage: { fresh: lagMs !== null, lagMs },
});

describe('advice on the token', () => {
  let peers: PeerDelays[] = [];
  let warnings: string[] = [];
  let advice: CorosyncAdvice;
  beforeEach(() => {
    peers = [];
    warnings = [];
    advice = new CorosyncAdvice({ look: async () => peers, warn: (text) => void warnings.push(text) });
  });
  afterEach(() => advice.stop());

  const looks = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await advice.look();
  };

  test('the worst way to any peer counts, for a minute', async () => {
    write('1000');
    advice.use(conf, 3);
    peers = [peer(4, 80), peer(300, 0.4)];
    await looks(1);
    expect(advice.document()).toMatchObject({ nodes: 3, oneWayMs: 150, tokenMinMs: 2400, fits: false });
    peers = [peer(4, 20), peer(null, 0.4)];
    await looks(59);
    expect(advice.document().oneWayMs).toBe(150);
    await looks(1);
    expect(advice.document()).toMatchObject({ oneWayMs: 20, tokenMinMs: 1000, configuredTokenMs: 1000, fits: true });
  });

  test('a way that is out tells nothing; with all out, and before the first look, nothing is said', async () => {
    write('1000');
    advice.use(conf, 2);
    expect(advice.document()).toMatchObject({ oneWayMs: null, tokenMinMs: null, configuredTokenMs: 1000, fits: null });
    peers = [{ network: { reachable: false, rttMs: 900 }, storage: { fresh: false, lagMs: 900 } }];
    await looks(2);
    expect(advice.document()).toMatchObject({ oneWayMs: null, fits: null });
  });

  test('an agent that does not answer is no reason to fail', async () => {
    const mute = new CorosyncAdvice({ look: async () => Promise.reject(new Error('hangs')), warn: () => {} });
    await mute.look();
    expect(mute.document().oneWayMs).toBeNull();
  });

  test('a token that is too short is one warning, not one each minute; it may come again later', async () => {
    write('1000');
    advice.use(conf, 2);
    peers = [peer(0.2, 200)];
    await looks(240);
    expect(warnings).toEqual(["corosync's token of 1000 ms is too short for this storage: use 3200 or more"]);
    peers = [peer(0.2, 1)];
    await looks(120);
    peers = [peer(0.2, 200)];
    await looks(120);
    expect(warnings).toHaveLength(2);
  });

  test('a file that cannot be used is one warning at the start, and stands in the document', async () => {
    write('soon');
    advice.use(conf, 2);
    await looks(120);
    const problem = `${conf}: totem.token is soon, not a number of milliseconds: no advice on its token`;
    expect(warnings).toEqual([problem]);
    expect(advice.document()).toMatchObject({ problem, configuredTokenMs: null, fits: null });
  });

  test('without corosync the latency alone is told', async () => {
    advice.use(join(directory, 'none'), 4);
    peers = [peer(1, 5)];
    await looks(1);
    expect(advice.document()).toEqual({
      nodes: 4,
      oneWayMs: 5,
      tokenMinMs: 1000,
      configuredTokenMs: null,
      fits: null,
      problem: null,
    });
    expect(warnings).toEqual([]);
  });
});
