/**
 * The direct question (CY7) on a connection of its own: behind what a slow link has still to carry it would be answered late,
 * and a link that is only slow would be taken for a lost one. The target says in its answers how its storage is.
 */
import { LinkConnection, type LinkSocket } from '../link/connection.ts';
import type { Machine } from '../machine.ts';
import { decodeAnswer, type Answer as TargetHealth } from '../target/reports.ts';
import { FRAME_KIND, type Frame } from '../wire/frame.ts';

export type { TargetHealth };

export interface InquiryParts {
  readonly machine: Machine;
  dial(): LinkSocket;
  /** The `hello` that joins the session that runs. */
  hello(): Uint8Array;
  readonly session: number;
  answered(health: TargetHealth): void;
}

/** A connection that does not come about is tried again after this time. */
const AGAIN_MS = 1000;

export class Inquiry {
  readonly #parts: InquiryParts;
  #connection: LinkConnection | null = null;
  #socket: LinkSocket | null = null;
  #isEnded = false;

  constructor(parts: InquiryParts) {
    this.#parts = parts;
    void this.#dial();
  }

  ask(): void {
    const { machine, session } = this.#parts;
    this.#connection?.send(FRAME_KIND.inquiry, session, Math.round(machine.clock.monotonicMs()));
  }

  end(): void {
    this.#isEnded = true;
    this.#connection?.end('the session is over');
    this.#socket?.destroy();
  }

  async #dial(): Promise<void> {
    const socket = this.#parts.dial();
    this.#socket = socket;
    try {
      await ready(socket);
    } catch {
      // Why the link cannot be had is the session's to say.
      this.#again();
      return;
    }
    if (this.#isEnded) return;
    const events = {
      frame: ({ kind }: Frame, body: Uint8Array) => {
        const health = kind === FRAME_KIND.answer ? decodeAnswer(body) : null;
        if (health) this.#parts.answered(health);
      },
      drain: () => {},
      closed: () => {
        this.#connection = null;
        this.#again();
      },
    };
    const connection = new LinkConnection(socket, events, this.#parts.machine.timers.soon);
    this.#connection = connection;
    connection.send(FRAME_KIND.hello, 0, 0, 0, this.#parts.hello());
    this.ask();
  }

  #again(): void {
    if (this.#isEnded) return;
    this.#parts.machine.timers.idly(AGAIN_MS, () => this.#isEnded || void this.#dial());
  }
}

/** Resolves when the handshake is done. */
export const ready = async (socket: LinkSocket): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
