import { expect, test } from 'vitest';
import { FRAME_BYTES_MAX } from '../../../vnic/device.ts';
import { MemoryDevice, memoryPair } from '../../../vnic/memory-device.ts';
import { buildUdp4 } from '../../support/packets.ts';

const into = new Uint8Array(FRAME_BYTES_MAX);

test('a full queue drops the newest frame and counts it', () => {
  const device = new MemoryDevice({ queueFrames: 2 });
  expect([1, 2, 3].map((byte) => device.push(Uint8Array.of(byte)))).toEqual([true, true, false]);
  expect(device).toMatchObject({ depth: 2, pushesDropped: 1 });
  expect([device.read(into), into[0], device.read(into), into[0], device.read(into)]).toEqual([1, 1, 1, 2, 0]);
});

test('an interface that is down loses frames in both directions', () => {
  const device = new MemoryDevice();
  device.up = false;
  expect([device.push(buildUdp4()), device.write(buildUdp4())]).toEqual([false, false]);
  expect(device).toMatchObject({ pushesDropped: 1, writesRefused: 1, written: [] });
});

test('written frames go to the handler, as copies', () => {
  const seen: Uint8Array[] = [];
  const device = new MemoryDevice({ onWrite: (frame) => void seen.push(frame) });
  const frame = buildUdp4();
  device.write(frame);
  frame.fill(0);
  expect(seen).toEqual([buildUdp4()]);
  expect(device.written).toEqual([]);
});

test('a device that vanishes says so to its reader', () => {
  const device = new MemoryDevice();
  device.push(buildUdp4());
  device.vanish();
  expect(device.read(into)).toBeLessThan(0);
  expect(device.write(buildUdp4())).toBe(false);
});

test('memoryPair makes two that are not joined', () => {
  const [a, b] = memoryPair();
  a.write(buildUdp4());
  expect([a.name, b.name, a.written.length, b.depth]).toEqual(['a', 'b', 1, 0]);
});
