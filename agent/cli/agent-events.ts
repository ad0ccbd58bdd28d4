/**
 * What the agent tells goes into the log with what its parts do not know of the storage. When a peer's network fails, it
 * asks the host whether that still answers.
 */
import ping from 'ping';
import type { Agent, AgentEvent } from '../agent.ts';
import type { EventLog, Figures } from '../operate/event-log.ts';
import { errnoName } from '../platform/native.ts';
import { READER } from '../queue/reader-words.ts';

/** The agent keeps what it has open: only an operator knows that another device of the path is meant. */
const MEND_VOLUME = 'look at the volume and its paths; when it is back as another device, send SIGHUP';

export class AgentEvents {
  readonly #log: EventLog;
  readonly #agent: () => Agent | null;
  /** Peers whose network has failed, and that is diagnosed. */
  readonly #diagnosed = new Set<string>();

  /** `agent`: the one that runs, if one does. */
  constructor(log: EventLog, agent: () => Agent | null) {
    this.#log = log;
    this.#agent = agent;
  }

  note(event: AgentEvent): void {
    const { kind, ...figures } = event;
    this.#log.tell(kind, { ...figures, ...this.#storageFigures(event) });
    if (event.kind === 'path') this.#lookAtPath(event);
  }

  /** What those that tell it do not know of the storage. */
  #storageFigures(event: AgentEvent): Figures {
    const agent = this.#agent();
    if (event.kind === 'storage-error') return { volume: agent?.volumes.send.path, mend: MEND_VOLUME };
    if (event.kind === 'read-error') return { mend: MEND_VOLUME };
    if (event.kind !== 'storage-silent') return {};
    const volume = agent?.receiveVolumes.find(({ peers }) => peers.includes(event.peer));
    const errno = volume ? Atomics.load(volume.words.words, READER.errno) : 0;
    return { reason: errno === 0 ? 'the peer’s beacon was not read in time' : `reads fail with ${errnoName(errno)}` };
  }

  /** One failure of the network is diagnosed once, however the way without it changes. An operator's word is none. */
  #lookAtPath({ peer, to, reason }: Extract<AgentEvent, { kind: 'path' }>): void {
    if (to !== 'storage' && to !== 'isolated') this.#diagnosed.delete(peer);
    else if (reason !== 'operator' && !this.#diagnosed.has(peer)) {
      this.#diagnosed.add(peer);
      void this.#diagnose(peer);
    }
  }

  /** Tells a dead network from a dead agent: does the peer's host answer ICMP on the primary network? */
  async #diagnose(peer: string): Promise<void> {
    const host = this.#agent()?.settings.peers.find(({ node }) => node === peer)?.primary?.host;
    if (host === undefined) return;
    const answer = await ping.promise.probe(host, { timeout: 1 }).catch(() => null);
    if (!answer) return;
    const meaning = answer.alive ? "the network works, the peer's agent does not" : 'the network to the peer is down';
    this.#log.tell('diagnosis', { peer, host, icmp: answer.alive, meaning });
  }
}
