/** Who follows a source's journal without taking part in its cycles. The mirror asks it for nothing but how much of the ring it holds. */
export interface Follower {
  readonly name: string;
  /** Nothing of the ring before this position is needed for it; `Infinity`: it has let go of all. */
  readonly freed: number;
  /** A write was admitted. Bytes. */
  note(volume: number, offset: number, length: number): void;
  /** More is durable, or time has passed. */
  progress(): void;
  status(): Readonly<Record<string, unknown>>;
  stop(reason: string): void;
}
