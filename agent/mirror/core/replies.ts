/**
 * When a client is answered (MI2). Each condition is a mark that only rises: what is on the send volume, what is flushed to
 * the journal, what targets have, which cycle is closed. So whoever waits stands in line, and an answer needs a look at the
 * front of the line alone.
 */
export type Acknowledge = 'sync' | 'receipt' | 'local' | 'cycle';

/** Marks up to which each condition holds. */
export interface Progress {
  /** On the send volume, or durable in the journal while that is away. */
  readonly placed: number;
  /** Durable in the journal. */
  readonly durable: number;
  /** In the memory of every in-sync target; `Infinity` when there is none. */
  readonly received: number;
  /** Durable at every in-sync target; `Infinity` when there is none. */
  readonly remote: number;
  /** Last mark of the newest closed cycle. */
  readonly closed: number;
}

/** What writes may be answered up to; `isFlush`: those with FUA, and FLUSH. */
export function answerable(policy: Acknowledge, progress: Progress, isFlush: boolean): number {
  const { placed, durable, received, remote, closed } = progress;
  const conditions: Record<Acknowledge, number> = {
    local: durable,
    receipt: isFlush ? Math.min(durable, received) : received,
    sync: Math.min(durable, remote),
    cycle: Math.min(durable, closed),
  };
  return Math.min(placed, conditions[policy]);
}

interface Waiting<Client> {
  readonly mark: number;
  readonly client: Client;
}

/** A line in which nobody is taken from the middle. */
class Line<Client> {
  #items: Waiting<Client>[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  push(mark: number, client: Client): void {
    this.#items.push({ mark, client });
  }

  /** Takes whoever waits for no more than `mark`. */
  take(mark: number, answer: (client: Client) => void): void {
    for (let item = this.#items[this.#first]; item && item.mark <= mark; item = this.#items[++this.#first]) {
      answer(item.client);
    }
    if (this.#first < 1024 && this.#first < this.#items.length) return;
    this.#items = this.#items.slice(this.#first);
    this.#first = 0;
  }

  takeAll(answer: (client: Client) => void): void {
    this.take(Infinity, answer);
  }
}

export class Replies<Client> {
  readonly #plain = new Line<Client>();
  readonly #flush = new Line<Client>();
  readonly policy: Acknowledge;

  constructor(policy: Acknowledge) {
    this.policy = policy;
  }

  get waiting(): number {
    return this.#plain.length + this.#flush.length;
  }

  /** `mark`: the write's own, or for a FLUSH the last one that was answered before it came. Marks never fall. */
  wait(mark: number, isFlush: boolean, client: Client): void {
    (isFlush ? this.#flush : this.#plain).push(mark, client);
  }

  advance(progress: Progress, answer: (client: Client) => void): void {
    this.#plain.take(answerable(this.policy, progress, false), answer);
    this.#flush.take(answerable(this.policy, progress, true), answer);
  }

  /** All who wait are told that it failed: the journal is gone, or the process ends. */
  fail(answer: (client: Client) => void): void {
    this.#plain.takeAll(answer);
    this.#flush.takeAll(answer);
  }
}
