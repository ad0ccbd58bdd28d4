/** What was sent in a session and how far the target has it: marks with the places in the ring behind them. */
interface SentMark {
  readonly mark: number;
  /** Behind it. */
  readonly position: number;
}

export class Sent {
  #marks: SentMark[] = [];
  #durablePosition = 0;
  #receivedPosition = 0;

  /** Entries are sent from `position` on. */
  begin(position: number): void {
    this.#marks = [];
    this.#durablePosition = position;
    this.#receivedPosition = position;
  }

  sent(mark: number, position: number): void {
    this.#marks.push({ mark, position });
  }

  /** What the target says: marks that it has in memory, and durable. Gives the position behind what is durable there. */
  stored(received: number, durable: number): number {
    this.#receivedPosition = this.#marks.findLast(({ mark }) => mark <= received)?.position ?? this.#receivedPosition;
    const count = this.#marks.findIndex(({ mark }) => mark > durable);
    const gone = this.#marks.splice(0, count < 0 ? this.#marks.length : count);
    this.#durablePosition = gone.at(-1)?.position ?? this.#durablePosition;
    return this.#durablePosition;
  }

  /** Bytes of the ring that the target has not said to have taken: they need room there. */
  get underWay(): number {
    const from = Math.max(this.#durablePosition, this.#receivedPosition);
    return (this.#marks.at(-1)?.position ?? from) - from;
  }
}
