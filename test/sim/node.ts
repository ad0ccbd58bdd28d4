/**
 * One node: its interface, its clocks, its ways to network and volume, and the agent that runs on it. A node outlives its
 * agents: `crash` ends one, `start` begins the next incarnation on what the volume says.
 */
import { MemoryDevice } from '../../vnic/memory-device.ts';
import { Agent } from './agent-threads.ts';
import type { NodeDisks } from './disk.ts';
import type { Network } from './network.ts';
import { NodeClock } from './node-clock.ts';
import type { Observer } from './observer.ts';
import type { NodeIndex } from './pairs.ts';
import { nodeName, type SimSettings } from './settings.ts';
import type { Volumes } from './volumes.ts';
import type { World } from './world.ts';

const INTERFACE_FRAMES = 500;

export class Node {
  readonly world: World;
  readonly index: NodeIndex;
  readonly settings: SimSettings;
  readonly network: Network;
  readonly volumes: Volumes;
  readonly disks: NodeDisks;
  readonly observer: Observer;
  readonly device: MemoryDevice;
  clock: NodeClock;
  agent: Agent | null = null;
  isFrozen = false;

  constructor(
    world: World,
    index: NodeIndex,
    settings: SimSettings,
    network: Network,
    volumes: Volumes,
    disks: NodeDisks,
    observer: Observer,
  ) {
    this.world = world;
    this.index = index;
    this.settings = settings;
    this.network = network;
    this.volumes = volumes;
    this.disks = disks;
    this.observer = observer;
    this.clock = new NodeClock(world, world.within(-45, 45));
    this.device = new MemoryDevice({
      name: `sb-${nodeName(index)}`,
      queueFrames: INTERFACE_FRAMES,
      onWrite: () => {},
    });
  }

  get isRunning(): boolean {
    return this.agent !== null && !this.isFrozen;
  }

  deliver(frame: Uint8Array, way: 'switch' | 'reader'): boolean {
    if (!this.device.write(frame)) return false;
    this.observer.delivered(this.index, frame.slice(), way);
    return true;
  }

  /** An application sends a frame; it is the kernel's until the agent takes it. */
  push(frame: Uint8Array): boolean {
    if (!this.agent || !this.device.push(frame)) return false;
    this.agent.actors[0].wake();
    return true;
  }

  /** A datagram came in. */
  arrive(datagram: Uint8Array): void {
    if (!this.agent) return;
    this.agent.switchThread.datagram(datagram);
    this.agent.actors[0].wake();
  }

  /** The cable is pulled, or put back: the kernel says so. */
  tellCarrier(): void {
    const { carrier } = this.network.port(this.index);
    for (const link of this.agent?.switchThread.core.links ?? []) link.judge.carrier(carrier);
    this.agent?.actors[0].wake();
  }

  /** A new incarnation. Answers false when the volume could not be read: an agent would not start. */
  start(): boolean {
    if (this.disks.hangs) return false;
    const incarnation = new Uint8Array(16);
    this.world.prng.fill(incarnation);
    try {
      this.agent = new Agent(this, incarnation);
    } catch (error) {
      this.world.note(`${this.name} does not start: ${error instanceof Error ? error.message : String(error)}`);
      return false;
    }
    for (const actor of this.agent.actors) actor.wake();
    this.world.note(`${this.name} starts`);
    this.observer.started(this.index);
    return true;
  }

  get name(): string {
    return nodeName(this.index);
  }

  /** `reboot`: the host restarts too, and its clocks begin anew. */
  crash(reboot: boolean): void {
    this.agent?.end();
    this.agent = null;
    this.isFrozen = false;
    this.disks.own.crash();
    // The kernel throws away what waits in an interface when its only reader is gone.
    for (let length = 1; length > 0;) length = this.device.read(this.#scratch);
    if (reboot) this.clock = new NodeClock(this.world, this.world.within(-45, 45));
    this.world.note(`${this.name} ${reboot ? 'reboots' : 'crashes'}`);
  }
  readonly #scratch = new Uint8Array(70_000);

  /** SIGSTOP: no thread runs; what the kernel and the devices do goes on. */
  freeze(): void {
    this.isFrozen = true;
    this.world.note(`${this.name} is stopped`);
  }

  /** SIGCONT. */
  thaw(): void {
    if (!this.isFrozen) return;
    this.isFrozen = false;
    this.world.note(`${this.name} goes on`);
    for (const actor of this.agent?.actors ?? []) actor.wake();
  }
}
