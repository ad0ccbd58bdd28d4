/** What every VnicDevice does, real or in memory: the agent and the simulator rely on nothing else. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FRAME_BYTES_MAX, VNET_HEADER_BYTES, type VnicDevice } from '../../vnic/device.ts';
import { PacketInfo, parsePacket } from '../../vnic/ip-packet.ts';
import { MemoryDevice } from '../../vnic/memory-device.ts';
import { openTun } from '../../vnic/tun-linux.ts';
import { enterNewNamespace, ip } from '../support/namespace.ts';
import { buildUdp4, concat } from '../support/packets.ts';
import { until } from '../support/until.ts';

/** One device with the application behind it, which sends to and hears from a peer. */
interface World {
  readonly device: VnicDevice;
  /** Sends one UDP payload to the peer. */
  send(payload: Uint8Array): Promise<void>;
  /** UDP payloads that have come to the application, oldest first. */
  heard(): readonly Uint8Array[];
  /** Takes the interface away while the device is open. */
  remove(): void;
  end(): Promise<void>;
}

const OWN = '10.77.0.1';
const PEER = '10.77.0.2';
const PORT = 4000;
const UDP_OFFSET = VNET_HEADER_BYTES + 20 + 8;
const BIG_BYTES = 60_000;

const fromPeer = (payload: Uint8Array): Uint8Array =>
  buildUdp4({ source: PEER, target: OWN, sourcePort: PORT, targetPort: PORT, payload });

async function memoryWorld(): Promise<World> {
  const device = new MemoryDevice();
  return {
    device,
    send: async (payload) => {
      device.push(buildUdp4({ source: OWN, target: PEER, sourcePort: PORT, targetPort: PORT, payload }));
    },
    heard: () => device.written.map((frame) => frame.subarray(UDP_OFFSET)),
    remove: () => device.vanish(),
    end: async () => undefined,
  };
}

async function tunWorld(): Promise<World> {
  const device = openTun({ name: 'sbt0', mtu: 65_000, addresses: [{ address: OWN, prefix: 24, family: 4 }] });
  const heard: Uint8Array[] = [];
  const socket = createSocket('udp4', (message) => void heard.push(new Uint8Array(message)));
  socket.bind(PORT, OWN);
  await once(socket, 'listening');
  return {
    device,
    send: (payload) =>
      new Promise((resolve, reject) =>
        socket.send(payload, PORT, PEER, (error) => (error === null ? resolve() : reject(error))),
      ),
    heard: () => heard,
    remove: () => void ip('link delete sbt0'),
    end: async () => {
      socket.close();
      await once(socket, 'close');
    },
  };
}

const isRoot = process.getuid?.() === 0;

describe.each([
  { kind: 'in memory', make: memoryWorld, needsRoot: false },
  { kind: 'TUN', make: tunWorld, needsRoot: true },
])('a device: $kind', ({ make, needsRoot }) => {
  describe.skipIf(needsRoot && !isRoot)('', () => {
    let world: World;
    const into = new Uint8Array(FRAME_BYTES_MAX);

    beforeAll(() => {
      if (needsRoot) enterNewNamespace();
    });
    beforeEach(async () => {
      world = await make();
    });
    afterEach(async () => {
      world.device.close();
      await world.end();
    });

    const nextFrame = async (buffer: Uint8Array = into): Promise<Uint8Array> => {
      const length = await until('a frame to read', () => world.device.read(buffer) || null);
      expect(length).toBeGreaterThan(0);
      return buffer.subarray(0, length);
    };
    const bytes = (length: number, first: number): Uint8Array =>
      Uint8Array.from({ length }, (_, index) => (first + index * 7) & 0xff);

    test('has a name, and a descriptor to poll or -1', () => {
      expect(world.device.name).toMatch(/^\S+$/);
      expect(world.device.descriptor).toSatisfy((fd: number) => fd === -1 || fd > 2);
    });

    test('reads 0 when nothing is there, as often as asked', () => {
      expect([world.device.read(into), world.device.read(into)]).toEqual([0, 0]);
    });

    test('hands over what an application sends, whole, one frame at a time, in order', async () => {
      const payloads = [bytes(1, 1), bytes(1000, 2), bytes(30, 3)];
      for (const payload of payloads) await world.send(payload);
      for (const payload of payloads) {
        const frame = await nextFrame();
        const info = new PacketInfo();
        expect(parsePacket(frame, info)).toBe(true);
        expect(info).toMatchObject({ version: 4, sourcePort: PORT, destinationPort: PORT, isFragment: false });
        expect(frame.subarray(UDP_OFFSET)).toEqual(payload);
      }
      expect(world.device.read(into)).toBe(0);
    });

    test('gives an application what is written, in order', async () => {
      const payloads = [bytes(1, 1), bytes(1000, 2), bytes(30, 3)];
      expect(payloads.map((payload) => world.device.write(fromPeer(payload)))).toEqual([true, true, true]);
      await until('three payloads', () => world.heard().length === 3);
      expect(world.heard()).toEqual(payloads);
    });

    test('carries packets far above 1500 bytes, both ways', async () => {
      const payload = bytes(BIG_BYTES, 5);
      await world.send(payload);
      expect((await nextFrame()).subarray(UDP_OFFSET)).toEqual(payload);
      expect(world.device.write(fromPeer(payload))).toBe(true);
      await until('the payload', () => world.heard().length === 1);
      expect(world.heard()[0]).toEqual(payload);
    });

    test('reads into and writes from the middle of shared memory', async () => {
      const shared = new Uint8Array(new SharedArrayBuffer(FRAME_BYTES_MAX + 300));
      await world.send(bytes(50, 9));
      expect((await nextFrame(shared.subarray(101))).subarray(UDP_OFFSET)).toEqual(bytes(50, 9));
      expect(shared.subarray(0, 101).every((byte) => byte === 0)).toBe(true);
      const frame = fromPeer(bytes(60, 8));
      shared.set(frame, 33);
      expect(world.device.write(shared.subarray(33, 33 + frame.length))).toBe(true);
      await until('the payload', () => world.heard().length === 1);
      expect(world.heard()[0]).toEqual(bytes(60, 8));
    });

    test('keeps nothing of the buffers it was given', async () => {
      const frame = fromPeer(bytes(40, 1));
      world.device.write(frame);
      frame.fill(0);
      await until('the payload', () => world.heard().length === 1);
      expect(world.heard()[0]).toEqual(bytes(40, 1));
    });

    test('refuses what is no packet, and goes on', async () => {
      const good = fromPeer(bytes(10, 1));
      const wrongVersion = concat(
        good.subarray(0, VNET_HEADER_BYTES),
        Uint8Array.of(0x75),
        good.subarray(VNET_HEADER_BYTES + 1),
      );
      const bad = [new Uint8Array(0), new Uint8Array(5), good.subarray(0, VNET_HEADER_BYTES), wrongVersion];
      expect(bad.map((frame) => world.device.write(frame))).toEqual([false, false, false, false]);
      expect(world.device.write(good)).toBe(true);
      await until('the good one', () => world.heard().length === 1);
    });

    test('will not read into a buffer that could cut a frame', () => {
      expect(() => world.device.read(new Uint8Array(FRAME_BYTES_MAX - 1))).toThrow('too small a buffer');
    });

    test('tells its reader when the interface is gone, and loses what is written', () => {
      world.remove();
      expect(world.device.read(into)).toBeLessThan(0);
      expect(world.device.write(fromPeer(bytes(10, 1)))).toBe(false);
    });

    test('closes twice without harm, and does nothing more', () => {
      world.device.close();
      world.device.close();
      expect(world.device.descriptor).toBe(-1);
      expect(world.device.read(into)).toBeLessThan(0);
      expect(world.device.write(fromPeer(bytes(10, 1)))).toBe(false);
    });
  });
});
