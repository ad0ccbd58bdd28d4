/** `stillbeat status --watch`: what the page shows, in a terminal; elsewhere a line for each change. */
import { setTimeout as delay } from 'node:timers/promises';
import { ask } from '../control-client.ts';
import { paint, wantsColour } from '../demo/terminal.ts';
import type { BeginView } from '../page/document.ts';
import { whenOutputFails } from '../platform/standard-output.ts';
import { WatchScreen } from './watch-screen.ts';
import { PlainWatch, watchLines } from './watch-text.ts';

const WATCH_MS = 500;

/** Who watches wants to see the agent come back: while it starts again, or after its end. */
export function notAnswering(error: unknown, json: boolean): string {
  const line = `not answering: ${error instanceof Error ? error.message : String(error)}`;
  return json ? `${JSON.stringify({ error: line })}\n` : `${line}\n`;
}

/** Until SIGINT, SIGTERM, or nobody reads it any more. */
export async function watch(socket: string, json: boolean): Promise<number> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  process.once('SIGINT', end).once('SIGTERM', end).once('SIGHUP', end);
  whenOutputFails(end);
  const show = json ? jsonLines(socket) : process.stdout.isTTY ? picture(socket) : plainLines(socket);
  try {
    while (!ended.signal.aborted) {
      await show.next();
      await delay(WATCH_MS, undefined, { signal: ended.signal }).catch(() => {});
    }
  } finally {
    show.end();
  }
  return 0;
}

interface Show {
  readonly next: () => Promise<void>;
  readonly end: () => void;
}

const look = async (socket: string): Promise<BeginView> =>
  (await ask(socket, { command: 'view' })) as unknown as BeginView;

function picture(socket: string): Show {
  const screen = new WatchScreen(process.stdout);
  const colours = paint(wantsColour(true, process.env));
  let last: BeginView | string = '';
  const draw = (): void => {
    const room = { columns: screen.columns, rows: screen.rows };
    screen.draw(typeof last === 'string' ? [last] : watchLines(last, room, colours));
  };
  screen.onResize(draw);
  return {
    next: async () => {
      last = await look(socket).catch((error: unknown) => notAnswering(error, false).trimEnd());
      draw();
    },
    end: () => screen.close(),
  };
}

function plainLines(socket: string): Show {
  let plain = new PlainWatch();
  let trouble = '';
  return {
    next: async () => {
      try {
        const lines = plain.lines(await look(socket));
        trouble = '';
        if (lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
      } catch (error) {
        // Whoever comes back is told of as at the first time.
        plain = new PlainWatch();
        const line = notAnswering(error, false);
        if (line !== trouble) process.stdout.write(line);
        trouble = line;
      }
    },
    end: () => {},
  };
}

const jsonLines = (socket: string): Show => ({
  next: async () => {
    const text = await ask(socket, { command: 'status' }).then(
      (document) => `${JSON.stringify(document)}\n`,
      (error: unknown) => notAnswering(error, true),
    );
    process.stdout.write(text);
  },
  end: () => {},
});
