/** The main thread's questions to the switch thread: sent by its port, looked at when the bell rings, answered or late. */
import type { MessagePort } from 'node:worker_threads';
import { AgentError } from '../base/errors.ts';
import type { Override } from '../base/paths.ts';
import type { SwitchSnapshot } from './snapshot.ts';

export type SwitchCommand =
  | { readonly command: 'snapshot'; readonly id: number }
  | { readonly command: 'path'; readonly id: number; readonly seat: number; readonly override: Override };

export interface SwitchAnswer {
  readonly id: number;
  readonly snapshot: SwitchSnapshot;
}

const ANSWER_MS_MAX = 2000;

export class SwitchCommands {
  readonly #port: MessagePort;
  readonly #bell: () => void;
  readonly #answers = new Map<number, (snapshot: SwitchSnapshot) => void>();
  #nextId = 1;

  constructor(port: MessagePort, bell: () => void) {
    this.#port = port;
    this.#bell = bell;
    port.on('message', ({ id, snapshot }: SwitchAnswer) => {
      this.#answers.get(id)?.(snapshot);
      this.#answers.delete(id);
    });
  }

  /** What the switch thread knows now. Rejects when it does not answer in time: it hangs. */
  async snapshot(): Promise<SwitchSnapshot> {
    return this.#ask({ command: 'snapshot', id: this.#nextId++ });
  }

  /** An operator's override for the peer in this seat. */
  async setPath(seat: number, override: Override): Promise<SwitchSnapshot> {
    return this.#ask({ command: 'path', id: this.#nextId++, seat, override });
  }

  close(): void {
    this.#port.close();
  }

  async #ask(command: SwitchCommand): Promise<SwitchSnapshot> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#answers.delete(command.id);
        reject(new AgentError('failed', `the switch thread does not answer within ${ANSWER_MS_MAX} ms`));
      }, ANSWER_MS_MAX);
      this.#answers.set(command.id, (snapshot) => {
        clearTimeout(timer);
        resolve(snapshot);
      });
      this.#port.postMessage(command);
      this.#bell();
    });
  }
}
