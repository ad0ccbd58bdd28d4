/** A connection beside the first one of a session, which it joins: dialled as long as the session runs, and again when it is lost. */
import { LinkConnection, type Bound, type LinkSocket } from '../link/connection.ts';
import { decodeStop, GreetingError } from '../link/greeting.ts';
import type { Machine } from '../machine.ts';
import { FRAME_KIND, type Frame } from '../wire/frame.ts';

export interface JoinedParts {
  readonly machine: Machine;
  dial(): LinkSocket;
  /** The `hello` that joins the session that runs. */
  hello(): Uint8Array;
  readonly bound?: Bound;
}

export interface JoinedEvents {
  /** It has said its hello. */
  opened(connection: LinkConnection): void;
  /** The first one says whether it is welcome. */
  frame(connection: LinkConnection, frame: Frame, body: Uint8Array): void;
  drain(): void;
  /** It was open, and is lost. */
  closed(): void;
  /** It is dialled again, for the session still runs without it. */
  again(reason: string): void;
}

/** A connection that does not come about is tried again after this time. */
const AGAIN_MS = 1000;
/** From its dialling to the target's first word. */
const GREETING_MS = 5000;

export class Joined {
  readonly #parts: JoinedParts;
  readonly #events: JoinedEvents;
  #socket: LinkSocket | null = null;
  /** Takes back the bound on its greeting. */
  #inTime: () => void = () => {};
  #isEnded = false;

  constructor(parts: JoinedParts, events: JoinedEvents) {
    this.#parts = parts;
    this.#events = events;
    void this.#dial();
  }

  end(): void {
    this.#isEnded = true;
    this.#inTime();
    this.#socket?.destroy();
  }

  async #dial(): Promise<void> {
    const { machine, bound } = this.#parts;
    const { timers } = machine;
    const socket = this.#parts.dial();
    this.#socket = socket;
    const inTime = timers.after(GREETING_MS, () => socket.destroy(new Error('no greeting in time')));
    this.#inTime = inTime;
    try {
      await ready(socket);
    } catch (error) {
      inTime();
      return this.#again((error as Error).message);
    }
    if (this.#isEnded) return inTime();
    const events = {
      frame: (frame: Frame, body: Uint8Array) => {
        inTime();
        if (frame.kind === FRAME_KIND.stop) connection.end(reasonOf(body));
        else this.#events.frame(connection, frame, body);
      },
      drain: () => this.#events.drain(),
      closed: (reason: string) => {
        inTime();
        this.#events.closed();
        this.#again(reason);
      },
    };
    const connection = new LinkConnection(socket, events, timers.soon, bound ?? null);
    connection.send(FRAME_KIND.hello, 0, 0, 0, this.#parts.hello());
    this.#events.opened(connection);
    return undefined;
  }

  #again(reason: string): void {
    if (this.#isEnded) return;
    this.#parts.machine.timers.idly(AGAIN_MS, () => {
      if (this.#isEnded) return;
      this.#events.again(reason);
      void this.#dial();
    });
  }
}

function reasonOf(body: Uint8Array): string {
  try {
    return decodeStop(body).reason;
  } catch (error) {
    if (!(error instanceof GreetingError)) throw error;
    return 'the target stopped the session';
  }
}

/** Resolves when the handshake is done. */
export const ready = async (socket: LinkSocket): Promise<void> =>
  new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  });
