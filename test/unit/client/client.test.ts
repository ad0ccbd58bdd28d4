/** The client library against a socket that answers by itself, whatever this thread does. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { connect } from '../../../agent/client/index.ts';

/** Longer than the library waits for an answer. */
const BLOCKED_MS = 5200;

/** Answers each piece that comes with `answer`. */
const SERVER = `
  const { workerData: { path, answer }, parentPort } = require('node:worker_threads');
  const server = require('node:net').createServer((socket) => socket.on('data', () => socket.write(answer + '\\n')));
  server.listen(path, () => parentPort.postMessage('listens'));
`;

let server: Worker | null = null;
let socket = '';
let made = 0;
afterEach(async () => {
  await server?.terminate();
  rmSync(socket, { force: true });
});

async function serve(answer: string): Promise<void> {
  socket = join(tmpdir(), `stillbeat-client-${process.pid}-${made++}.sock`);
  const worker = new Worker(SERVER, { eval: true, workerData: { path: socket, answer } });
  server = worker;
  await new Promise((resolve) => worker.once('message', resolve));
}

test('a program that stands still itself is not told that the agent hangs', async () => {
  await serve('{"hello":1}');
  const connecting = connect({ socket });
  // As soon as the question has left, and before its answer is read.
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS);
  const client = await connecting;
  expect(await client.hello()).toBe(true);
  await client.close();
}, 20_000);

test.each(['null', '7', '"hello"', 'hello'])(
  'a socket that says %s is another one, and breaks nothing',
  async (line) => {
    await serve(line);
    await expect(connect({ socket })).rejects.toThrow(/it speaks otherwise than the agent: this is another socket$/);
  },
);
