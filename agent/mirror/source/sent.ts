/** What was sent in a session and how far the target has it: the places in the ring behind what was sent, by mark. */
import type { RingPlace } from '../store/ring.ts';

type Place = Pick<RingPlace, 'mark' | 'position'>;

export class Sent<At extends Place = RingPlace> {
  #places: At[] = [];
  #durable: At | null = null;
  #received: At | null = null;

  /** Entries are sent from `place` on. */
  begin(place: At): void {
    this.#places = [];
    this.#durable = place;
    this.#received = place;
  }

  /** Up to this place. */
  sent(place: At): void {
    this.#places.push(place);
  }

  /** What the target says: marks that it has in memory, and durable. Gives the position behind what is durable there. */
  stored(received: number, durable: number): number {
    this.#received = this.#places.findLast(({ mark }) => mark <= received) ?? this.#received;
    const count = this.#places.findIndex(({ mark }) => mark > durable);
    const gone = this.#places.splice(0, count < 0 ? this.#places.length : count);
    this.#durable = gone.at(-1) ?? this.#durable;
    return this.#durable?.position ?? 0;
  }

  /** Behind what the target has said to have taken without a hole. */
  get taken(): number {
    return Math.max(this.#durable?.position ?? 0, this.#received?.position ?? 0);
  }

  /** Bytes of the ring that the target has not said to have taken: they need room there. */
  get underWay(): number {
    return (this.#places.at(-1)?.position ?? this.taken) - this.taken;
  }

  /** What was sent behind what is taken is sent once more: from this place on. Null before anything was begun. */
  goBack(): At | null {
    const { taken } = this;
    this.#places = this.#places.filter(({ position }) => position <= taken);
    return this.#received?.position === taken ? this.#received : this.#durable;
  }
}
