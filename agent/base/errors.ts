/**
 * Every error the program ends with or reports by code, in one table: exit status and what it means. An error's
 * message is one line: what, where, and what to do.
 */
export const EXIT = {
  /** Done. */
  ok: 0,
  /** The command failed; the line on stderr says why. */
  failed: 1,
  /** Bad usage or configuration. */
  usage: 2,
  /** The volume is missing, too small, not formatted, of another cluster, of a newer format, or lacks this node. */
  volume: 3,
  /** The key is missing, readable by others, or not the volume's. */
  key: 4,
  /** The virtual interface cannot be had: no TUN, no rights, name taken. */
  vnic: 5,
  /** The primary network cannot be used: address or port taken, no such interface. */
  primary: 6,
  /** Another live agent owns this node's slot. */
  taken: 7,
  /** A part of the running agent died and could not be restarted. */
  died: 8,
} as const;

export type ExitReason = keyof typeof EXIT;

export const isExitReason = (word: unknown): word is ExitReason => typeof word === 'string' && word in EXIT;

/** An error for the operator: one line, no stack trace; `reason` gives the exit status. */
export class AgentError extends Error {
  readonly reason: ExitReason;

  constructor(reason: ExitReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'AgentError';
    this.reason = reason;
  }

  get exitStatus(): number {
    return EXIT[this.reason];
  }
}

/** Ends the thread (and so the agent) on a broken assumption of ours: going on would risk altered packets. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`);
}
