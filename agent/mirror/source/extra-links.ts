/** The connections of a session beside its first one and the inquiry's: they carry transfers, and nothing else. */
import type { LinkConnection } from '../link/connection.ts';
import { decodeAnswer } from '../target/reports.ts';
import { FRAME_KIND, type Frame } from '../wire/frame.ts';
import { DataLink } from './data-link.ts';
import type { TargetHealth } from './inquiry.ts';
import { Joined, type JoinedParts } from './joined.ts';
import type { Outflow } from './outflow.ts';

export interface ExtraLinksParts extends JoinedParts {
  readonly count: number;
  readonly outflow: Pick<Outflow, 'join' | 'leave' | 'pump'>;
  answered(health: TargetHealth): void;
  /** One was lost, or cannot be had, and the session goes on without it. */
  lost(reason: string): void;
}

export class ExtraLinks {
  readonly #joined: readonly Joined[];

  constructor(parts: ExtraLinksParts) {
    this.#joined = Array.from({ length: parts.count }, () => joinedBy(parts));
  }

  end(): void {
    for (const joined of this.#joined) joined.end();
  }
}

function joinedBy(parts: ExtraLinksParts): Joined {
  const { outflow } = parts;
  let link: DataLink | null = null;
  let told = '';
  return new Joined(parts, {
    opened: () => {},
    frame: (connection: LinkConnection, { kind, id }: Frame, body: Uint8Array) => {
      if (kind === FRAME_KIND.welcome && !link) {
        link = new DataLink(connection, true);
        told = '';
        outflow.join(link);
      } else if (kind === FRAME_KIND.answer) {
        link?.answered(id);
        const health = decodeAnswer(body);
        if (health) parts.answered(health);
      }
    },
    drain: () => outflow.pump(),
    closed: () => {
      if (link) outflow.leave(link);
      link = null;
    },
    // The same again is no news.
    again: (reason) => {
      if (reason !== told) parts.lost(reason);
      told = reason;
    },
  });
}
