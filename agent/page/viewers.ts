/** Those who look at the page now: one text for all of them. One that takes nothing is sent away, and no other waits for it. */
import type { ServerResponse } from 'node:http';

/** What a viewer may leave lying before it is one no more. */
const BEHIND_BYTES_MAX = 1_048_576;
export const VIEWERS_MAX = 32;

/** As the browser's EventSource reads it. JSON has no line ends of its own. */
export const eventText = (name: string, data: unknown): string => `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;

export class Viewers {
  readonly #viewers = new Set<ServerResponse>();
  readonly #changed: () => void;

  /** `changed`: somebody came or went. */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get count(): number {
    return this.#viewers.size;
  }

  /** False: there are too many. */
  add(response: ServerResponse, first: string): boolean {
    if (this.count >= VIEWERS_MAX) return false;
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.write(`retry: 1000\n\n${first}`);
    this.#viewers.add(response);
    response.once('close', () => {
      if (this.#viewers.delete(response)) this.#changed();
    });
    this.#changed();
    return true;
  }

  send(text: string): void {
    for (const viewer of this.#viewers) {
      if (viewer.writableLength > BEHIND_BYTES_MAX) viewer.destroy();
      else viewer.write(text);
    }
  }

  close(): void {
    for (const viewer of this.#viewers) viewer.end();
  }
}
