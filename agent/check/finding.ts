/** What `stillbeat check` finds. `error`: `run` would stop. `warning`: it would run, but slower or less safely. */
export type Level = 'ok' | 'warning' | 'error';

export interface Finding {
  /** What was looked at, e.g. `vnic.tun`; stable, for programs. */
  readonly name: string;
  readonly level: Level;
  /** What is so, on one line. */
  readonly what: string;
  /** What to do about it; null when nothing needs doing. */
  readonly mend: string | null;
}

export const ok = (name: string, what: string): Finding => ({ name, level: 'ok', what, mend: null });

export const warning = (name: string, what: string, mend: string): Finding => ({ name, level: 'warning', what, mend });

export const error = (name: string, what: string, mend: string): Finding => ({ name, level: 'error', what, mend });
