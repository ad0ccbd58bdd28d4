/** A volume of two nodes with every kind of packet on it, and the compiled `inspect` to look at it with. */
import { HEAD_STATE } from '../../agent/volume/layout.ts';
import { withPartialChecksum } from './offload.ts';
import { asSuperPacket, buildIcmpEcho4, buildTcp4, buildTcp6, buildUdp4, buildUdp6 } from './packets.ts';
import { VolumeFile } from './volume-file.ts';
import { CLUSTER_KEY } from './volume.ts';

export const CLI: string = new URL('../../dist/agent/cli.js', import.meta.url).pathname;

const payload = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => i & 0xff);
const superTcp = asSuperPacket(
  withPartialChecksum(buildTcp4({ sourcePort: 40_000, targetPort: 40_001, flags: 0x10, payload: payload(20_000) })),
  1,
  1460,
);
/** What an agent carries: each protocol, finished and unfinished checksums, a super-packet. */
export const FRAMES: readonly Uint8Array[] = [
  buildUdp4({ sourcePort: 5405, targetPort: 5405, payload: payload(60) }),
  withPartialChecksum(buildTcp4({ sourcePort: 4000, targetPort: 40_002, flags: 0x18, payload: payload(501) })),
  withPartialChecksum(buildTcp6({ sourcePort: 4000, targetPort: 40_003, flags: 0x18, payload: payload(502) })),
  withPartialChecksum(buildUdp4({ payload: payload(503) })),
  withPartialChecksum(buildUdp6({ payload: payload(504) })),
  buildIcmpEcho4({ type: 8, identifier: 1, sequence: 2 }),
  superTcp,
];

/** Two nodes that know each other; a sends all frames in two batches, b a heartbeat after each of them. */
export async function filledVolume(withKey: boolean): Promise<VolumeFile> {
  const file = await VolumeFile.make(withKey ? CLUSTER_KEY : null);
  const [a, b] = [file.writer(0), file.writer(1)];
  for (const writer of [a, b]) writer.head();
  a.batch(FRAMES.slice(0, 3), { peer: 1, type: 2, sequence: 1 });
  b.batch(FRAMES.slice(0, 1), { peer: 0, type: 1, sequence: 1 });
  a.batch(FRAMES.slice(3), { peer: 1, type: 2, sequence: 4 });
  b.batch(FRAMES.slice(0, 1), { peer: 0, type: 1, sequence: 2 });
  a.head(HEAD_STATE.running, [file.entry(1)]);
  b.head(HEAD_STATE.stopped, [file.entry(0)]);
  return file;
}

/** The options that give a volume's key. */
export const keyOptions = (file: VolumeFile, withKey: boolean): string[] =>
  withKey ? ['--key-file', file.keyFile] : [];
