import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type SwitchCommand, SwitchCommands } from '../../../agent/switch/commands.ts';

let bells: number;
let far: MessagePort;
let commands: SwitchCommands;
let asked: SwitchCommand[];

beforeEach(() => {
  bells = 0;
  asked = [];
  const { port1, port2 } = new MessageChannel();
  far = port2;
  far.on('message', (command: SwitchCommand) => asked.push(command));
  commands = new SwitchCommands(port1, () => bells++);
});
afterEach(() => {
  vi.useRealTimers();
  commands.close();
});

const answer = (id: number, nowMs: number): void => far.postMessage({ id, snapshot: { nowMs } });

test('each question rings the bell and gets its own answer, in whatever order they come', async () => {
  const answers = [commands.snapshot(), commands.setPath(7, 'storage')];
  expect(bells).toBe(2);
  await vi.waitFor(() => expect(asked).toHaveLength(2));
  const [first, second] = asked.map(({ id }) => id);
  expect(asked[1]).toMatchObject({ command: 'path', seat: 7, override: 'storage' });
  answer(second ?? 0, 2);
  answer(first ?? 0, 1);
  expect(await Promise.all(answers)).toMatchObject([{ nowMs: 1 }, { nowMs: 2 }]);
});

test('a switch thread that does not answer is told as such, and a late answer harms nobody', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const late = expect(commands.snapshot()).rejects.toThrow('does not answer within 2000 ms');
  vi.advanceTimersByTime(2000);
  await late;
  vi.useRealTimers();
  answer(1, 1);
  const next = commands.snapshot();
  answer(2, 5);
  expect(await next).toMatchObject({ nowMs: 5 });
});
