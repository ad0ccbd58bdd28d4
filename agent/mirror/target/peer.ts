/** A connection as the sessions see it: frames over TLS. */
import { LinkConnection, type LinkSocket } from '../link/connection.ts';
import { encodeStop, type Stop } from '../link/greeting.ts';
import { FRAME_KIND, type Frame, type FrameKind } from '../wire/frame.ts';
import type { Timers } from '../machine.ts';
import type { Peer } from './session.ts';

/** For the peer to take a `stop` before its connection ends. */
const STOP_MS = 1000;
/** A source whose host died without a word is found out after this time. */
const KEEP_ALIVE_MS = 30_000;

export interface PeerEvents {
  frame(peer: Peer, frame: Frame, body: Uint8Array): void;
  /** Once, whoever ended it. */
  closed(peer: Peer, reason: string): void;
}

export class LinkPeer implements Peer {
  readonly address: string;
  readonly #socket: LinkSocket;
  readonly #timers: Timers;
  readonly #connection: LinkConnection;

  constructor(socket: LinkSocket, timers: Timers, events: PeerEvents) {
    this.#socket = socket;
    this.#timers = timers;
    this.address = `${socket.remoteAddress ?? '?'}:${socket.remotePort ?? 0}`;
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    this.#connection = new LinkConnection(
      socket,
      {
        frame: (frame, body) => events.frame(this, frame, body),
        drain: () => {},
        closed: (reason) => events.closed(this, reason),
      },
      timers.soon,
    );
  }

  send(kind: FrameKind, session: number, id: number, body?: Uint8Array): void {
    this.#connection.send(kind, session, id, 0, ...(body ? [body] : []));
  }

  stop(stop: Stop): void {
    this.send(FRAME_KIND.stop, 0, 0, encodeStop(stop));
    // The connection holds back what one turn sends: the end comes behind it.
    this.#timers.soon(() => this.#socket.end());
    this.#timers.idly(STOP_MS, () => this.#connection.end(stop.reason));
    this.#socket.resume();
  }

  /** At once, for one who does not follow the protocol. */
  end(reason: string): void {
    this.#connection.end(reason);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }
}
