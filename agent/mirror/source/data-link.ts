/**
 * A connection that carries transfers: how much of what it was given has not arrived yet. For that the direct question goes behind each
 * transfer, on the same connection, where there are several to choose from; the answer says that the transfer is there.
 */
import type { LinkConnection } from '../link/connection.ts';
import { FRAME_KIND } from '../wire/frame.ts';
import type { Batch } from './ring-cursor.ts';

/** One that has answered nothing for so long, in ms, brings nothing any more, */
const SILENT_MS = 10_000;
/** unless what it was given may take longer: nobody calls less than this, in bytes a second, a link. */
const SLOWEST = 65_536;

export class DataLink {
  readonly connection: LinkConnection;
  readonly #isOneOfSeveral: boolean;
  #underWay: { readonly transfer: number; readonly bytes: number }[] = [];
  #transfer = 0;
  #inVainMs = 0;
  #waitingBytes = 0;
  /** Where in the source's ring the last transfer ends that it was given. */
  end = 0;
  readonly #unaskedBytes: number;

  /** `unaskedBytes`: as many may lie before a question, beside transfers that have questions of their own. */
  constructor(connection: LinkConnection, isOneOfSeveral: boolean, unaskedBytes = 0) {
    this.connection = connection;
    this.#isOneOfSeveral = isOneOfSeveral;
    this.#unaskedBytes = unaskedBytes;
  }

  /** Given to it, and not known to have arrived. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get takesMore(): boolean {
    return this.connection.isOpen && !this.connection.isFull;
  }

  send(session: number, transfer: number, { bytes, count }: Batch): void {
    this.connection.send(FRAME_KIND.entries, session, transfer, count, bytes);
    if (!this.#isOneOfSeveral) return;
    this.#transfer = transfer;
    this.#underWay.push({ transfer, bytes: bytes.length });
    this.#waitingBytes += bytes.length;
    this.connection.send(FRAME_KIND.inquiry, session, transfer);
  }

  /**
   * The direct question, `afterMs` behind the one before; whether it has been left without an answer for too long. `isBusy`: the target
   * is known to take nothing, and may not come to the question.
   */
  ask(session: number, afterMs: number, isBusy: boolean): boolean {
    if (isBusy) this.#inVainMs = 0;
    this.connection.send(FRAME_KIND.inquiry, session, this.#transfer);
    const longest = Math.max(this.#unaskedBytes, ...this.#underWay.map(({ bytes }) => bytes));
    const isSilent = this.#inVainMs > SILENT_MS + (1000 * longest) / SLOWEST;
    this.#inVainMs += afterMs;
    return isSilent;
  }

  /** It has brought something. */
  heard(): void {
    this.#inVainMs = 0;
  }

  /** The answer to a question that was asked behind this transfer. */
  answered(transfer: number): void {
    this.heard();
    const count = this.#underWay.findIndex((one) => one.transfer > transfer);
    const arrived = this.#underWay.splice(0, count < 0 ? this.#underWay.length : count);
    for (const { bytes } of arrived) this.#waitingBytes -= bytes;
  }
}
