/**
 * Events and figures on the disk, a line of JSON each, so that they outlive the agent: `FILE`, and `FILE.1` for what came
 * before it. When FILE has half of the bytes that are allowed, it takes the place of FILE.1. Nobody waits for the disk: lines
 * are written in order behind each other, and what a disk that hangs or is full costs is counted and told.
 *
 * A line that is no JSON (the host died in the middle of it) is passed over by whoever reads.
 */
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { appendFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** More than so many lines wait for no disk. */
const WAITING_MAX = 2000;
/** So much of the newest is looked at when the agent starts. */
const TAIL_BYTES = 1_048_576;

export interface KeptEvent {
  readonly at: string;
  readonly kind: string;
  readonly [figure: string]: unknown;
}

export class EventFile {
  readonly path: string;
  readonly bytesMax: number;
  readonly #tell: (fault: string | null) => void;
  #waiting: string[] = [];
  #writing: Promise<void> | null = null;
  #bytes: number;
  #fault: string | null = null;

  /** `tell`: why lines are lost, once; null when they are written again. */
  constructor(path: string, bytesMax: number, tell: (fault: string | null) => void) {
    this.path = path;
    this.bytesMax = bytesMax;
    this.#tell = tell;
    this.#bytes = sizeOf(path);
  }

  append(event: KeptEvent): void {
    if (this.bytesMax === 0 || this.#waiting.length >= WAITING_MAX) return;
    this.#waiting.push(`${JSON.stringify(event)}\n`);
    this.#writing ??= this.#write().finally(() => (this.#writing = null));
  }

  /** Until everything is written, or a disk that hangs has had its time. */
  async flushed(withinMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, withinMs)));
    await Promise.race([this.#writing ?? Promise.resolve(), late]);
    clearTimeout(timer);
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      const text = this.#waiting.join('');
      this.#waiting = [];
      try {
        await this.#makeRoom(Buffer.byteLength(text));
        await appendFile(this.path, text, { mode: 0o600 });
        this.#bytes += Buffer.byteLength(text);
        this.#become(null);
      } catch (error) {
        this.#become((error as NodeJS.ErrnoException).code ?? String(error));
      }
    }
  }

  async #makeRoom(bytes: number): Promise<void> {
    mkdirSync(dirname(this.path), { recursive: true });
    if (this.#bytes === 0 || this.#bytes + bytes <= this.bytesMax / 2) return;
    await rename(this.path, `${this.path}.1`).catch(async () => rm(this.path, { force: true }));
    this.#bytes = 0;
  }

  #become(fault: string | null): void {
    const isNews = fault !== this.#fault;
    this.#fault = fault;
    if (isNews) this.#tell(fault);
  }
}

/** Of what cannot be looked at, the first line that is written says why. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** Everything that is kept, oldest first. A file that is not there holds nothing; one that may not be read throws. */
export const readEvents = (path: string): KeptEvent[] => [...eventsOf(`${path}.1`), ...eventsOf(path)];

/** The newest of it. */
export function readNewestEvents(path: string): KeptEvent[] {
  const newest = eventsOf(path, TAIL_BYTES);
  return newest.length > 0 ? newest : eventsOf(`${path}.1`, TAIL_BYTES);
}

function eventsOf(path: string, bytesMax = Infinity): KeptEvent[] {
  let content: Buffer;
  try {
    content = readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const from = Math.max(0, content.length - bytesMax);
  return content
    .subarray(from)
    .toString('utf8')
    .split('\n')
    .flatMap((line) => eventOf(line));
}

function eventOf(line: string): KeptEvent[] {
  try {
    const event = JSON.parse(line) as KeptEvent | null;
    return typeof event?.at === 'string' && typeof event.kind === 'string' ? [event] : [];
  } catch {
    return [];
  }
}
