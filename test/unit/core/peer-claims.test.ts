import { describe, expect, test } from 'vitest';
import { PeerClaims } from '../../../agent/core/peer-claims.ts';
import { ipBytes, ipFromBytes } from '../../../vnic/ip-address.ts';
import { incarnationOf } from '../../support/volume.ts';

const head = (knowsUs: boolean, addresses: string[] = [], incarnation = 1, isStopped = false) => ({
  incarnation: incarnationOf(incarnation),
  claims: { knowsUs, isStopped, addresses: addresses.map((text) => ipBytes(text)) },
});
const kinds = (news: readonly { kind: string }[]) => news.map(({ kind }) => kind);

describe('what a peer’s head says of us', () => {
  test('a head that never moves is a dead agent’s and says nothing', () => {
    const claims = new PeerClaims();
    expect(claims.look(head(false), [])).toEqual([]);
    expect(claims.knowsUs).toBeNull();
  });

  test('each change is told once, however many heads come', () => {
    const claims = new PeerClaims();
    const told = [false, false, false, true, true, false].flatMap((knows) => kinds(claims.look(head(knows), [])));
    expect(told).toEqual(['peer-unaware', 'peer-aware', 'peer-unaware']);
    expect(claims.knowsUs).toBe(false);
  });

  test('one that always knew us is no news; a closing head, and the first of a new incarnation, say nothing', () => {
    const claims = new PeerClaims();
    expect([1, 2, 3].flatMap(() => claims.look(head(true), []))).toEqual([]);
    expect(claims.look(head(false, [], 1, true), [])).toEqual([]);
    expect(claims.look(head(false, [], 2), [])).toEqual([]);
    expect(claims.knowsUs).toBe(true);
  });
});

describe('what it says of its own addresses', () => {
  const said = ['10.77.0.2', 'fd77::2'];

  test('settings that name some of them agree, in any spelling', () => {
    const claims = new PeerClaims();
    for (const settings of [['10.77.0.2'], ['FD77:0::2', '10.77.0.2'], said]) {
      expect([1, 2].flatMap(() => claims.look(head(true, said), settings))).toEqual([]);
    }
    expect([1, 2].flatMap(() => claims.look(head(true, []), ['10.77.0.9']))).toEqual([]);
  });

  test('another one is told once with both, and once when it is mended', () => {
    const claims = new PeerClaims();
    const told = ['.3', '.3', '.3', '.2', '.2'].flatMap((end) => claims.look(head(true, said), [`10.77.0${end}`]));
    expect(told).toEqual([
      { kind: 'address-differs', says: '10.77.0.2 fd77::2', settings: '10.77.0.3' },
      { kind: 'address-agrees', says: '10.77.0.2 fd77::2', settings: '10.77.0.2' },
    ]);
    expect(claims.otherAddresses).toBeNull();
  });
});

test.each(['10.77.0.2', 'fd77::2', '::1', '1:2:3:4:5:6:7:8', '1::8', '1:0:0:4::8', 'fe80::', '::'])(
  'the text of the bytes of %s is that again',
  (text) => {
    expect(ipFromBytes(ipBytes(text))).toBe(text);
  },
);
