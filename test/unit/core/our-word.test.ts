/** The flags and figures of a hello, each from the part that knows it. */
import { beforeEach, describe, expect, test } from 'vitest';
import { BULK, DATA } from '../../../agent/base/packet-type.ts';
import { PATHS } from '../../../agent/base/paths.ts';
import { Acquaintance } from '../../../agent/core/acquaintance.ts';
import { IncomingLanes } from '../../../agent/core/incoming-lanes.ts';
import { Judge } from '../../../agent/core/judge.ts';
import { OurWord } from '../../../agent/core/our-word.ts';
import { OutgoingLanes } from '../../../agent/core/outgoing-lanes.ts';
import { PeerBypass } from '../../../agent/core/peer-bypass.ts';
import { SeatWords } from '../../../agent/core/seat-words.ts';
import { StorageWatch } from '../../../agent/core/storage-watch.ts';
import { type PeerWords, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { HELLO_FLAG, KIND } from '../../../agent/wire/message.ts';
import { incarnationOf } from '../../support/volume.ts';

const JUDGE = { intervalMs: 50, misses: 3, stableForMs: 1000, stableForMsMax: 4000, hasNetwork: true };
const LANES = { retainBytes: 10_000, maxAgeMs: 2000, storageWindowBytes: 10_000, hasNetwork: true };
const THEIRS = incarnationOf(2);
const NOW_MS = 1000;

function makeParts() {
  const words = new SharedState(new SharedArrayBuffer(sharedStateBytes())).peers[0] as PeerWords;
  const outgoing = new OutgoingLanes(LANES, () => ({ network: () => true, storage: () => true }), undefined);
  return {
    acquaintance: new Acquaintance(incarnationOf(1)),
    judge: new Judge(JUDGE, NOW_MS),
    storage: new StorageWatch(3000),
    bypass: new PeerBypass(),
    outgoing,
    incoming: new IncomingLanes(words.words, LANES.maxAgeMs, () => true),
    words: new SeatWords(words, outgoing),
  };
}

let parts: ReturnType<typeof makeParts>;
let ours: OurWord;
beforeEach(() => {
  parts = makeParts();
  ours = new OurWord(parts);
});

function accept(): void {
  parts.acquaintance.accept(THEIRS);
  parts.words.accept(THEIRS);
}

describe('flags', () => {
  test('of a node that knows nothing yet say nothing', () => {
    expect(ours.flags(NOW_MS)).toBe(0);
  });

  test.each<[keyof typeof HELLO_FLAG, () => void]>([
    ['hearsNetwork', () => parts.judge.heard(NOW_MS)],
    ['hearsStorage', () => void parts.storage.look(NOW_MS, NOW_MS)],
    ['storageAvailable', () => (ours.ownStorage = true)],
    ['echoes', () => parts.words.echo(THEIRS, 1, NOW_MS)],
    ['offersGateway', () => (ours.offersGateway = true)],
    [
      'bypass',
      () => {
        parts.bypass.apply(true, 50);
        parts.bypass.tick({ path: 'network', override: 'auto', hasCarrier: true }, NOW_MS);
      },
    ],
  ])('%s is said when it is so', (flag, act) => {
    act();
    expect(ours.flags(NOW_MS)).toBe(HELLO_FLAG[flag]);
  });

  test('[AUTH1] acceptance is said with an echo of the accepted incarnation only', () => {
    accept();
    parts.words.echo(incarnationOf(3), 1, NOW_MS);
    expect(ours.flags(NOW_MS)).toBe(HELLO_FLAG.echoes);
    parts.words.echo(THEIRS, 1, NOW_MS);
    expect(ours.flags(NOW_MS)).toBe(HELLO_FLAG.echoes | HELLO_FLAG.accepts);
  });
});

test('a hello: confirmations, floors, our clock, the path, and the echo with its delay', () => {
  for (const type of [DATA, DATA, BULK] as const) parts.outgoing.enqueue(type, new Uint8Array(10), 0, 0);
  parts.outgoing.pump('network', 0);
  parts.outgoing.confirm(3, 1);
  parts.incoming.of(BULK)?.offer(1, new Uint8Array(1), NOW_MS, NOW_MS);
  parts.words.echo(THEIRS, 777, NOW_MS - 20);
  expect(ours.hello(NOW_MS)).toEqual({
    kind: KIND.hello,
    nextData: 1,
    nextBulk: 2,
    floorData: 3,
    floorBulk: 1,
    monotonicUs: NOW_MS * 1000,
    flags: HELLO_FLAG.echoes,
    path: PATHS.indexOf('isolated'),
    floorHeartbeat: 1,
    echoIncarnation: THEIRS,
    echoMonotonicUs: 777,
    echoDelayUs: 20_000,
  });
});

test('an echo of nobody has no delay', () => {
  expect(ours.hello(NOW_MS).echoDelayUs).toBe(0);
});
