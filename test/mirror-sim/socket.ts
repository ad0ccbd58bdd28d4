/** The sockets at the ends of a simulated connection, as the links know them. */
import { EventEmitter } from 'node:events';
import type { SimMachine } from './machine.ts';
import type { Way } from './way.ts';

/** What makes a writer wait for a drain. */
export const HIGH_WATER_BYTES: number = 16 * 1024;

export class SimSocket extends EventEmitter {
  readonly machine: SimMachine;
  /** Where what is written here goes. */
  way: Way | null = null;
  remoteAddress = 'sim';
  remotePort = 1;
  isDestroyed = false;
  isEnded = false;
  isPaused = false;

  constructor(machine: SimMachine) {
    super();
    this.machine = machine;
  }

  get writable(): boolean {
    return !this.isDestroyed && !this.isEnded && this.way !== null;
  }

  get writableLength(): number {
    return this.way?.queuedBytes ?? 0;
  }

  cork(): void {}
  uncork(): void {}
  setKeepAlive(): void {}

  write(bytes: Uint8Array): boolean {
    if (this.writable) this.way?.push(bytes);
    return this.writableLength < HIGH_WATER_BYTES;
  }

  /** What was written before leaves first. */
  end(): void {
    this.isEnded = true;
    this.way?.finish();
  }

  destroy(error?: Error): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    this.machine.timers.soon(() => {
      if (error) this.emit('error', error);
      this.emit('close');
    });
    this.way?.abandon();
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
    this.way?.other?.wake();
  }
}
