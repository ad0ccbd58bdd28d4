/**
 * corosync's settings for the bed, made of the very samples that an operator copies from `config/`: their names and
 * addresses are the lab's. What a variant changes is replaced line by line, and a line that is not there is an error.
 */
import { readFileSync } from 'node:fs';
import { assert } from '../base/errors.ts';
import type { Overrides } from '../demo/lab-settings.ts';

/** From the compiled program, and from its source in tests. */
const CONFIG = new URL(import.meta.url.endsWith('.ts') ? '../../config/' : '../../../config/', import.meta.url);

export interface Variant {
  readonly name: string;
  readonly conf: string;
  /** Silence after which members leave: token + consensus as corosync reckons them for three nodes. */
  readonly leavesAfterMs: number;
  /** Laid over the agents' settings; null: no agents at all. */
  readonly agent: Overrides | null;
  /** False with a second link that takes over: then the first one goes down at each cut, and nobody minds. */
  readonly linksStay: boolean;
}

/** What corosync 3 makes of `token` for three nodes: 650 ms more for the third, and 1.2 times that for the consensus. */
const leavesAfter = (tokenMs: number): number => 2.2 * (tokenMs + 650);

/** A row of cuts is no flapping network: without this bound each return would wait twice as long as the last. */
const AGENT: Overrides = { primary: { probe: { stableForMaxMs: 3000 } } };

export function singleLink(tokenMs: number, withAgent = true): Variant {
  const text = replaced(sample('corosync-single-link.conf'), [['token: 3000', `token: ${tokenMs}`]]);
  return {
    name: `single link, token ${tokenMs}${withAgent ? '' : ', no agent'}`,
    conf: withAgent ? text : text.replaceAll('10.77.0.', '192.168.50.'),
    leavesAfterMs: leavesAfter(tokenMs),
    agent: withAgent ? AGENT : null,
    linksStay: true,
  };
}

export function secondLink(): Variant {
  return {
    name: 'second link, token 3000',
    conf: sample('corosync-second-link.conf'),
    leavesAfterMs: leavesAfter(3000),
    agent: { primary: { mode: 'none' } },
    linksStay: false,
  };
}

/** The older transport, without links of its own and without encryption. */
export function udpu(): Variant {
  const text = replaced(sample('corosync-single-link.conf'), [
    ['transport: knet', 'transport: udpu'],
    ['crypto_cipher: aes256', 'crypto_cipher: none'],
    ['crypto_hash: sha256', 'crypto_hash: none'],
  ]);
  return { name: 'udpu, token 3000', conf: text, leavesAfterMs: leavesAfter(3000), agent: AGENT, linksStay: true };
}

function sample(file: string): string {
  return readFileSync(new URL(file, CONFIG), 'utf8');
}

function replaced(text: string, changes: readonly (readonly [string, string])[]): string {
  return changes.reduce((before, [line, other]) => {
    assert(before.includes(line), `the sample of corosync.conf has the line "${line}"`);
    return before.replace(line, other);
  }, text);
}
