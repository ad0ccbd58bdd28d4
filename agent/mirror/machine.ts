/**
 * What a source or a target runs on: clocks, timers, files, threads, links. Handed in, so that a simulator can give its own
 * and count time instead of waiting for it. The real one is `systemMachine`.
 */
import type { Worker } from 'node:worker_threads';
import type { NbdServer, NbdServerOptions } from '../nbd/server.ts';
import type { Extent } from '../nbd/volume.ts';
import type { Clock } from '../platform/clock.ts';
import type { LinkName } from './link/link-key.ts';
import type { LinkSocket } from './link/connection.ts';
import type { Address, ListenOptions, LinkListener } from './link/tls.ts';
import type { JournalSuper } from './store/superblock.ts';
import type { ApplyContext } from './threads/apply-context.ts';
import type { JournalContext, VolumeContext } from './threads/context.ts';
import type { ScanContext, Scanner } from './threads/scan-context.ts';
import type { VolumeDevice } from './threads/volume-loop.ts';

/** Takes a timer back. */
export type Cancel = () => void;

export interface Timers {
  readonly after: (ms: number, action: () => void) => Cancel;
  /** The same, and does not keep the process alive. */
  readonly idly: (ms: number, action: () => void) => Cancel;
  readonly every: (ms: number, action: () => void) => Cancel;
  /** When all that has come in together has been dealt with. */
  readonly soon: (action: () => void) => void;
}

/** A file or a device that is read without blocking. */
export interface FileReader {
  readonly bytes: number;
  /** Fills `into`; EIO where there is less. */
  read(offset: number, into: Uint8Array, done: (errno: number) => void): void;
  /** Where its holes are; left out: all of it is data. */
  readonly allocation?: (offset: number, length: number, done: (extents: readonly Extent[]) => void) => void;
  close(): void;
}

/** The log device, which other hosts write too. Each call rejects with an Error that says what is wrong. */
export interface LogDevice {
  /** Makes it of zeros where it is a file that is not there. */
  make(bytes: number): Promise<void>;
  open(isWritten: boolean): Promise<OpenLog>;
}

export interface OpenLog {
  /** `bytes` from `offset` on, fewer where it ends. */
  read(offset: number, bytes: number): Promise<Uint8Array>;
  /** Durable when it resolves; how many were written. */
  write(offset: number, block: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

export interface Files {
  /** Whether a journal is to be made there. */
  isUnmade(path: string): boolean;
  /** Makes it: whole or not at all. Rejects with an AgentError that says what to do. */
  make(path: string, superblock: JournalSuper): Promise<void>;
  /** For whoever may block: the device, or a negative errno. */
  open(path: string): VolumeDevice | number;
  /** Throws what the system says. */
  reader(path: string): FileReader;
  /** Puts this in place of the file, or makes it: whole and durable, or not at all. Throws what the system says. */
  put(path: string, bytes: Uint8Array): void;
  /** What the file holds, null where there is none. It is gone afterwards, durably. */
  take(path: string): Uint8Array | null;
  /** For as long as the process lives and nobody closes it. Throws an AgentError when somebody else has it. */
  lock(path: string): { close(): void };
  log(path: string): LogDevice;
}

export type Thread = Pick<Worker, 'on' | 'once' | 'postMessage' | 'terminate'>;

export interface Threads {
  journal(context: JournalContext): Thread;
  volume(context: VolumeContext): Thread;
  apply(context: ApplyContext): Thread;
  scanner(context: ScanContext): Pick<Scanner, 'digests' | 'close'> & Partial<Pick<Scanner, 'prepare'>>;
}

export interface Network {
  /** Ready at its `secureConnect`. */
  dial(address: Address, key: Uint8Array, name: LinkName): LinkSocket;
  listen(
    options: Omit<ListenOptions, 'onLink'> & { readonly onLink: (socket: LinkSocket) => void },
  ): Promise<{ readonly server: Pick<LinkListener['server'], 'address'>; close(): void }>;
  serve(options: NbdServerOptions): Promise<Pick<NbdServer, 'port' | 'close'>>;
}

export interface Machine {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly files: Files;
  readonly threads: Threads;
  readonly network: Network;
  /** So many bytes that nobody can guess. */
  readonly random: (bytes: number) => Uint8Array;
}

export const sleep = async ({ timers }: Pick<Machine, 'timers'>, ms: number): Promise<void> =>
  new Promise((resolve) => timers.after(ms, resolve));
