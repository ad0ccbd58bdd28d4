import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { placeView, type Wanted } from '../../../agent/inspect/batch-view.ts';
import { ALL } from '../../../agent/inspect/filter.ts';
import { FlowTexts } from '../../../agent/inspect/flow-texts.ts';
import { flowOf } from '../../../agent/inspect/frame-view.ts';
import { InspectedVolume } from '../../../agent/inspect/inspected-volume.ts';
import { JsonBytes } from '../../../agent/inspect/json-bytes.ts';
import { Openers } from '../../../agent/inspect/openers.ts';
import { PlaceJson } from '../../../agent/inspect/place-json.ts';
import { RingWalk } from '../../../agent/inspect/ring-walk.ts';
import { VNET_HEADER_BYTES } from '../../../vnic/device.ts';
import { Mutator } from '../../support/mutator.ts';
import {
  asSuperPacket,
  buildIcmpEcho4,
  buildTcp4,
  buildUdp4,
  buildUdp6,
  fragments4,
  ipv4Frame,
} from '../../support/packets.ts';
import { VolumeFile } from '../../support/volume-file.ts';
import { CLUSTER_KEY } from '../../support/volume.ts';

let file: VolumeFile;
let volume: InspectedVolume;

beforeEach(async () => {
  file = await VolumeFile.make(CLUSTER_KEY);
  file.writer(0).head();
  volume = InspectedVolume.open(file.path);
});

afterEach(() => {
  volume.close();
  file.remove();
});

/** Each place as both make it: all views of the slot's history, and the JSON that was put behind each other. */
function both(wanted: Wanted, key: Uint8Array | null = CLUSTER_KEY): { views: string[]; put: string[] } {
  const walk = new RingWalk(volume, 0, new Openers(volume, key && [key]));
  const json = new PlaceJson(volume, wanted);
  const bytes = new JsonBytes(16);
  const found = { views: [] as string[], put: [] as string[] };
  for (const place of walk.history(walk.findEnd(null))) {
    const view = placeView(volume, place, wanted);
    if (view) found.views.push(`${view.kind === 'batch' ? '+' : ''}${JSON.stringify(view)}`);
    const done = json.put(place, '+', bytes);
    const text = bytes.copied().toString();
    expect(done?.kind).toBe(view?.kind);
    if (view?.kind === 'batch') expect(done?.records).toBe(view.records?.length ?? view.recordCount);
    if (done) found.put.push(text);
    else expect(text).toBe('');
  }
  expect(found.views.length).toBeGreaterThan(0);
  return found;
}

const everything: Wanted = { filter: ALL, content: false };
const udp = buildUdp4({ sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(40).fill(7) });
const withTtl = (frame: Uint8Array, ttl: number): Uint8Array => {
  const other = frame.slice();
  other[VNET_HEADER_BYTES + 8] = ttl;
  return other;
};

const padded = (frame: Uint8Array, bytes: number): Uint8Array => Buffer.concat([frame, new Uint8Array(bytes)]);

describe('the JSON of a place is that of its view, to the byte', () => {
  test('of packets of a flow, and of those that differ from it in one thing each', () => {
    const frames = [
      udp,
      withTtl(udp, 63),
      padded(udp, 8),
      asSuperPacket(udp, 1, 10),
      buildUdp4({ sourcePort: 1001, targetPort: 2000, payload: new Uint8Array(40) }),
      buildUdp4({ sourcePort: 1000, targetPort: 53, payload: new Uint8Array(40) }),
      buildUdp4({ sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(41) }),
      buildUdp4({ source: '10.77.0.3', sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(40) }),
      buildUdp4({ target: '10.77.0.3', sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(40) }),
      ...fragments4(buildUdp4({ sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(3000) }), 1000, 5),
      ipv4Frame({ protocol: 17, options: new Uint8Array(8) }, udp.subarray(VNET_HEADER_BYTES + 20)),
      ipv4Frame({ protocol: 17, options: new Uint8Array(8) }, udp.subarray(VNET_HEADER_BYTES + 20, -8)),
      ipv4Frame({ protocol: 17 }, new Uint8Array(48)),
      ipv4Frame({ protocol: 17, fragmentOffset: 8 }, new Uint8Array(48)),
      padded(buildUdp4({ sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(32) }), 8),
      buildUdp6({ sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(40) }),
      buildUdp6({ source: 'fd78::1', sourcePort: 1000, targetPort: 2000, payload: new Uint8Array(40) }),
      buildUdp4({ sourcePort: 5405, targetPort: 5405, payload: new Uint8Array(32) }),
      buildTcp4({ sourcePort: 1000, targetPort: 2000, flags: 0x10, sequence: 1 }),
      buildTcp4({ sourcePort: 1000, targetPort: 2000, flags: 0x10, sequence: 2 }),
      buildIcmpEcho4({ identifier: 7, sequence: 9 }),
      new Uint8Array(40),
    ];
    // Each behind each, and behind itself.
    for (const frame of frames) file.writer(0).batch(frames.flatMap((other) => [frame, other]));
    file.writer(0).batch([udp], { peer: 1, type: 2, sequence: 4_294_967_290 });
    file.writer(0).batch([udp], { peer: 0, type: 9, sequence: 0 });
    for (const wanted of [
      everything,
      { ...everything, content: true },
      { filter: { ...ALL, port: 53 }, content: false },
    ]) {
      const { views, put } = both(wanted);
      expect(put).toEqual(views);
    }
    const sealed = both(everything, null);
    expect(sealed.put).toEqual(sealed.views);
  });

  test('of frames that hold anything, and of damage', () => {
    const mutator = new Mutator(21);
    for (let batch = 0; batch < 60; batch++) {
      const frames = Array.from({ length: 30 }, (_, i) => {
        const frame = (i % 3 === 0 ? buildUdp6() : udp).slice();
        if (i % 2 === 0) mutator.damage(frame, 48);
        return frame;
      });
      file.writer(0).batch(frames, { sequence: 10 ** (batch % 10) });
    }
    file.damage(file.offset(0, 3 * 4096 + 100));
    const { views, put } = both(everything);
    expect(put).toEqual(views);
    expect(put.some((text) => text.includes('"damaged"'))).toBe(true);
  });
});

test('what a flow says of a record is not said of one of another age or size, wherever it is kept', () => {
  const flows = new FlowTexts();
  const record = { type: 1, peer: 1, sequence: 1, ageMs: 0, frameBytes: udp.length };
  const flow = flowOf(udp);
  if (!flow) throw new Error('it is a flow');
  const text = new Uint8Array(1);
  expect(flows.find(record, flow)).toBeNull();
  expect(flows.keep(record, flow, text)).toBe(text);
  expect(flows.find({ ...record, sequence: 2 }, flow)).toBe(text);
  for (let ageMs = 1; ageMs < 5000; ageMs++) expect(flows.find({ ...record, ageMs }, flow)).toBeNull();
  expect(flows.find({ ...record, frameBytes: 1 }, flow)).toBeNull();
});
