/**
 * The direct question (CY7) on a connection of its own: behind what a slow link has still to carry it would be answered late,
 * and a link that is only slow would be taken for a lost one. The target says in its answers how its storage is.
 */
import type { LinkConnection } from '../link/connection.ts';
import { decodeAnswer, type Answer as TargetHealth } from '../target/reports.ts';
import { FRAME_KIND } from '../wire/frame.ts';
import { Joined, type JoinedParts } from './joined.ts';

export type { TargetHealth };

export class Inquiry {
  readonly #parts: JoinedParts;
  readonly #session: number;
  readonly #joined: Joined;
  #connection: LinkConnection | null = null;

  constructor(session: number, parts: JoinedParts, answered: (health: TargetHealth) => void) {
    this.#parts = parts;
    this.#session = session;
    this.#joined = new Joined(parts, {
      opened: (connection) => {
        this.#connection = connection;
        this.ask();
      },
      frame: (_, { kind }, body) => {
        const health = kind === FRAME_KIND.answer ? decodeAnswer(body) : null;
        if (health) answered(health);
      },
      drain: () => {},
      closed: () => (this.#connection = null),
      // Why the link cannot be had is the session's to say.
      again: () => {},
    });
  }

  ask(): void {
    const { clock } = this.#parts.machine;
    this.#connection?.send(FRAME_KIND.inquiry, this.#session, Math.round(clock.monotonicMs()));
  }

  end(): void {
    this.#joined.end();
  }
}
