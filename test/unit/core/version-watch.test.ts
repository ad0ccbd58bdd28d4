import { beforeEach, describe, expect, test } from 'vitest';
import type { CoreEvent } from '../../../agent/core/ports.ts';
import { PeerVersions, VersionWatch } from '../../../agent/core/version-watch.ts';
import { type PeerWords, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { CrcSeal } from '../../../agent/wire/seal.ts';
import { DATAGRAM, TunnelReceiver, TunnelSender } from '../../../agent/wire/tunnel.ts';
import { incarnationOf } from '../../support/volume.ts';

describe('[AG12] a peer of another version is told once, and who has to upgrade', () => {
  test('newer: this node has to', () => {
    const watch = new VersionWatch('b', 'tunnel', { min: 1, max: 1 });
    expect(watch.look(null, 1000)).toBeNull();
    expect(watch.look(2, 1000)).toEqual({
      kind: 'version',
      what: 'tunnel',
      theirs: 2,
      ours: '1',
      advice: 'peer b speaks tunnel version 2, this agent 1: upgrade stillbeat on this node',
    });
    expect(watch.look(2, 1010)).toBeNull();
    expect(watch.look(2, 1e9)).toBeNull();
  });

  test('older than the oldest that is understood: the peer has to', () => {
    const watch = new VersionWatch('b', 'volume', { min: 2, max: 4 });
    expect(watch.look(1, 0)?.advice).toBe(
      'peer b speaks volume version 1, this agent 2 to 4: upgrade stillbeat on node b',
    );
  });

  test('again when it was understood in between, but not by the dozen', () => {
    const watch = new VersionWatch('b', 'volume', { min: 1, max: 1 });
    expect(watch.look(2, 0)?.theirs).toBe(2);
    expect(watch.look(null, 100_000)).toBeNull();
    expect(watch.look(2, 200_000)?.theirs).toBe(2);
    expect(watch.look(null, 200_010)).toBeNull();
    expect(watch.look(2, 200_020)).toBeNull();
    expect(watch.look(2, 300_000)?.theirs).toBe(2);
  });

  test('made-up versions by the dozen fill no log', () => {
    const watch = new VersionWatch('b', 'tunnel', { min: 1, max: 1 });
    let told = 0;
    for (let ms = 0; ms < 120_000; ms += 10) if (watch.look(2 + (ms % 250), ms) !== null) told++;
    expect(told).toBe(2);
  });
});

describe('[AG12] a peer whose datagrams change their version', () => {
  const MINUTE_MS = 60_000;
  let receiver: TunnelReceiver;
  let versions: PeerVersions;
  let told: CoreEvent[];
  let wire: Uint8Array[];
  let sender: TunnelSender;

  beforeEach(() => {
    told = [];
    wire = [];
    const { peers } = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
    versions = new PeerVersions('b', 1, peers[0] as PeerWords, (event) => told.push(event));
    receiver = new TunnelReceiver(
      () => new CrcSeal(),
      () => {},
    );
    const transmit = (bytes: Uint8Array, length: number) => wire.push(bytes.slice(0, length)) > 0;
    sender = new TunnelSender(new CrcSeal(), 1, incarnationOf(1), 1400, new Uint8Array(65_536), transmit);
  });

  /** One datagram of the peer, of this version. */
  function hear(version: number): void {
    sender.send(Uint8Array.of(1), 1);
    const datagram = wire.pop() ?? new Uint8Array(0);
    datagram[DATAGRAM.at.version] = version;
    receiver.receive(datagram, 0, datagram.length, 0);
  }

  test('is told again when it was understood in between', () => {
    hear(2);
    versions.look(receiver, 0);
    versions.look(receiver, MINUTE_MS);
    expect(told).toHaveLength(1);
    hear(1);
    versions.look(receiver, 2 * MINUTE_MS);
    versions.look(receiver, 3 * MINUTE_MS);
    expect(told).toHaveLength(1);
    hear(2);
    versions.look(receiver, 4 * MINUTE_MS);
    expect(told).toMatchObject([
      { what: 'tunnel', theirs: 2 },
      { what: 'tunnel', theirs: 2 },
    ]);
  });

  test('is told though words that are understood come between two looks', () => {
    hear(2);
    hear(1);
    versions.look(receiver, 0);
    expect(told).toMatchObject([{ what: 'tunnel', theirs: 2 }]);
  });
});
