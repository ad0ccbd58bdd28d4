import { describe, expect, test } from 'vitest';
import { corosyncText, corosyncView } from '../../../agent/inspect/corosync.ts';
import { frameText } from '../../../agent/inspect/frame-text.ts';
import { frameView } from '../../../agent/inspect/frame-view.ts';
import { encodeProgramMessage } from '../../../agent/wire/program-message.ts';
import { knetData, knetPing, knetPmtud, totem, TOTEM } from '../../support/corosync-packets.ts';
import { Mutator } from '../../support/mutator.ts';
import { buildIcmp6, buildIcmpEcho4, buildTcp4, buildTcp6, buildUdp4, buildUdp6 } from '../../support/packets.ts';

const textOf = (payload: Uint8Array): string | null => {
  const view = corosyncView(payload);
  return view && corosyncText(view);
};

describe('knet and totem by name', () => {
  test.each<[string, Uint8Array, string]>([
    ['a ping', knetPing(0x81, { node: 2, link: 1, sequence: 77 }), 'knet ping of node 2 link 1 sequence 77'],
    ['its answer', knetPing(0x82, { node: 1, link: 0, sequence: 300 }), 'knet pong of node 1 link 0 sequence 300'],
    ['the MTU probe', knetPmtud(0x83, { node: 1, link: 0, size: 1421 }), 'knet pmtud of node 1 link 0 size 1421'],
    ['its answer', knetPmtud(0x84, { node: 3, link: 2, size: 500 }), 'knet pmtud reply of node 3 link 2 size 500'],
    [
      'a part of a message',
      knetData({ node: 1, sequence: 9, fragments: 3, fragment: 2 }, totem(TOTEM.mcast)),
      'knet data of node 1 sequence 9 part 2 of 3',
    ],
    [
      'compressed data',
      knetData({ node: 1, sequence: 9, compress: 2 }, totem(TOTEM.mcast)),
      'knet data of node 1 sequence 9 compressed',
    ],
    [
      'the token inside knet',
      knetData({ node: 1, sequence: 9 }, totem(TOTEM.token)),
      'knet data of node 1 sequence 9, totem orf token of node 1 ring 1.1f sequence 5 aru 4 token 1000 retransmits 2',
    ],
    ['a message', totem(TOTEM.mcast), 'totem mcast of node 1 ring 1.1f sequence 5 7 bytes'],
    ['a look for others', totem(TOTEM.merge), 'totem memb merge detect of node 1 ring 1.1f'],
    ['a join', totem(TOTEM.join), 'totem memb join of node 1 members 1,2,3 failed 3'],
    ['the commit token', totem(TOTEM.commit), 'totem memb commit token of node 1 ring 1.1f members 1,2'],
    ['the end of a hold', totem(TOTEM.cancel), 'totem token hold cancel of node 1 ring 1.1f'],
    [
      'of a machine with the other byte order',
      totem(TOTEM.token, false),
      'totem orf token of node 1 ring 1.1f sequence 5 aru 4 token 1000 retransmits 2',
    ],
  ])('%s', (_, payload, text) => {
    expect(textOf(payload)).toBe(text);
    const frame = buildUdp4({ sourcePort: 5405, targetPort: 5405, payload });
    expect(frameText(frame)).toBe(`UDP 10.77.0.1:5405 > 10.77.0.2:5405 ${payload.length} bytes (corosync) ${text}`);
  });

  test('what is cut short, encrypted, of another version or on another port is not named', () => {
    for (const whole of [knetPing(0x81, { node: 1, link: 0, sequence: 1 }), totem(TOTEM.token), totem(TOTEM.commit)]) {
      expect(textOf(whole)).not.toBeNull();
      const least = whole.length - (whole.length > 50 ? 0 : 1);
      for (let length = 0; length < Math.min(least, 20); length++) expect(textOf(whole.subarray(0, length))).toBeNull();
    }
    const old = totem(TOTEM.token);
    old[2] = 2;
    expect(textOf(old)).toBeNull();
    expect(textOf(new Uint8Array(100).fill(0xa5))).toBeNull();
    const elsewhere = buildUdp4({ sourcePort: 999, targetPort: 999, payload: totem(TOTEM.token) });
    expect(frameText(elsewhere)).not.toContain('totem');
  });

  test('a list that says it is longer than the packet ends with the packet', () => {
    const join = totem(TOTEM.join);
    new DataView(join.buffer).setUint32(17, 0xffff_ffff, true);
    expect(corosyncView(join)?.totem).toMatchObject({ kind: 'memb join', members: [1, 2, 3, 3], failed: [] });
  });
});

describe('decoders read no byte beyond the frame, whatever is in it', () => {
  const SEED = 20_261;
  const RUNS = 30_000;
  const whole = [
    ...Object.values(TOTEM).map((type) => totem(type)),
    knetData({ node: 1, sequence: 9 }, totem(TOTEM.join)),
    knetPing(0x81, { node: 2, link: 1, sequence: 77 }),
    knetPmtud(0x83, { node: 1, link: 0, size: 1421 }),
  ];
  const frames = [
    ...whole.map((payload) => buildUdp4({ sourcePort: 5405, targetPort: 5405, payload })),
    ...whole.map((payload) => buildUdp6({ sourcePort: 5405, targetPort: 5404, payload })),
    buildTcp4({ payload: new Uint8Array(20).fill(27) }),
    buildTcp6({ payload: new Uint8Array(20).fill(0x9b) }),
    buildIcmpEcho4({}),
    buildIcmp6({}),
    encodeProgramMessage({
      kind: 1,
      outcome: 0,
      from: 'a\u001b[2J',
      channel: '\u202etxt',
      type: 2,
      id: 4,
      bytes: new TextEncoder().encode('\u001b]0;x\u0007 \u202e "quoted" \\ ü'),
    }),
  ];

  /** The same frame between other bytes: whoever reads beyond it says something else, or throws. */
  function between(frame: Uint8Array, filler: number): Uint8Array {
    const memory = new Uint8Array(frame.length + 256).fill(filler);
    memory.set(frame, 128);
    return memory.subarray(128, 128 + frame.length);
  }

  test(`mutated and cut frames, seed ${SEED}: the same whatever lies around, and nothing a terminal obeys`, () => {
    const mutator = new Mutator(SEED);
    const { prng } = mutator;
    let named = 0;
    for (let i = 0; i < RUNS; i++) {
      const original = frames[prng.below(frames.length)] ?? new Uint8Array(0);
      const frame = original.slice(0, prng.chance(1, 3) ? prng.below(original.length + 1) : original.length);
      if (frame.length > 0 && prng.chance(4, 5)) mutator.damage(frame, prng.chance(1, 2) ? 100 : 60);
      const [one, other] = [0x00, 0xff].map((filler) => JSON.stringify(frameView(between(frame, filler), true)));
      const text = frameText(frame, true);
      if (one !== other) throw new Error(`input ${i}: ${one} and ${other}`);
      if (!/^[\x20-\x7e\xa1-\uffff]*$/u.test(text) || /[\u202a-\u202e\u2066-\u2069]/.test(text)) {
        throw new Error(`input ${i}: ${JSON.stringify(text)}`);
      }
      if (/knet|totem/.test(text)) named++;
    }
    expect(named).toBeGreaterThan(RUNS / 10);
  });
});
