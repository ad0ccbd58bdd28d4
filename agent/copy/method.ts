/** What each kind of copy offers to whoever keeps it going, judges it and waits for it. */
import type { MirrorWrite } from '../flush/mirrored-disk.ts';
import type { CopyPoint, CopyState } from '../queue/copy-state.ts';

/** Told once when the copy begins to fail, and once when that is over; and when a program that was asked for has ended. */
export type MethodEvent =
  | { readonly kind: 'copy-failed'; readonly reason: string; readonly said?: string; readonly volume?: string }
  | { readonly kind: 'copy-good'; readonly afterMs: number }
  | { readonly kind: 'copy-ran'; readonly afterMs: number; readonly said: string }
  | { readonly kind: 'copy-link'; readonly peer: string; readonly to: string; readonly reason: string };

export interface CopyMethod {
  /** What the copy has. */
  readonly copied: CopyPoint;
  /** Why it does not get on; null while it does. */
  readonly fault: string | null;
  /** For the status document. */
  readonly figures: Readonly<Record<string, unknown>>;
  /** With a mirror: whether what this peer writes has come here as a whole, once. */
  hasCopyOf?(peer: string): boolean;
  /** With a mirror: takes what the flush thread writes. */
  write?(write: MirrorWrite): void;
  /**
   * Makes a copy that has everything that is written by now, where that does not happen by itself. Resolves when it is
   * made: null, or why it failed.
   */
  copyNow(): Promise<string | null>;
  /** Looks at what no event calls for; several times a second. */
  look(nowMs: number): void;
  /** What is left is copied where that can be done soon. */
  close(): Promise<void>;
}

/** `copy: shared`: the volume is its own copy. */
export class SharedCopy implements CopyMethod {
  readonly #state: CopyState;
  readonly fault: null = null;
  readonly figures: Readonly<Record<string, unknown>> = {};

  constructor(state: CopyState) {
    this.#state = state;
  }

  get copied(): CopyPoint {
    return this.#state.written;
  }

  async copyNow(): Promise<null> {
    return null;
  }

  look(): void {}

  async close(): Promise<void> {}
}
