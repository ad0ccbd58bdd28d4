/** The two things that threads share without a message between them, on real threads: the ring and the delivery gate. */
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Gate, GATE_WORDS } from '../../agent/core/gate.ts';
import { emptyRingRecord, Ring, ringBytes } from '../../agent/queue/ring.ts';

/** Runs `code` in a thread of its own; `data` is there by its names, and so is the compiled module's `exported`. */
async function thread(module: string, exported: string, data: Record<string, unknown>, code: string): Promise<void> {
  const compiled = new URL(`../../dist/agent/${module}`, import.meta.url).href;
  const source = `
    import { workerData } from 'node:worker_threads';
    const { ${exported} } = await import(${JSON.stringify(compiled)});
    const { ${Object.keys(data).join(', ')} } = workerData;
    ${code}`;
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData: data });
  await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
}

test('[ORD1] two threads that offer the same numbers to a gate: each is delivered once, in order', async () => {
  const count = 50_000;
  const words = new Int32Array(new SharedArrayBuffer(GATE_WORDS * 4));
  const out = new Int32Array(new SharedArrayBuffer((2 * count + 1) * 4));
  new Gate(words, 0).reset(1);
  const code = `
    const gate = new Gate(words, 0);
    for (let sequence = 1; sequence <= count; ) {
      const verdict = gate.offer(sequence, () => { out[1 + Atomics.add(out, 0, 1)] = sequence; });
      if (verdict !== 'ahead') sequence++;
    }`;
  await Promise.all([1, 2].map(() => thread('core/gate.js', 'Gate', { words, out, count }, code)));
  expect(out[0]).toBe(count);
  for (let i = 1; i <= count; i++) if (out[i] !== i) throw new Error(`place ${i} has ${out[i]}`);
});

test('a ring between two threads: every record arrives whole and in order, over many laps', async () => {
  const capacity = 4096;
  const count = 100_000;
  const buffer = new SharedArrayBuffer(ringBytes(capacity));
  const code = `
    const ring = new Ring(buffer, 0, capacity);
    for (let i = 0; i < count; ) {
      const offset = ring.reserve(i % 200);
      if (offset < 0) continue;
      ring.bytes.fill(i & 0xff, offset, offset + (i % 200));
      ring.commit(i % 200, i, 0, 0);
      i++;
    }`;
  const producer = thread('queue/ring.js', 'Ring', { buffer, capacity, count }, code);
  const ring = new Ring(buffer, 0, capacity);
  const record = emptyRingRecord();
  for (let i = 0; i < count;) {
    if (!ring.peek(record)) {
      await new Promise((resolve) => setImmediate(resolve));
      continue;
    }
    const bytes = ring.bytes.subarray(record.offset, record.offset + record.length);
    if (record.a !== i || record.length !== i % 200 || bytes.some((byte) => byte !== (i & 0xff))) {
      throw new Error(`record ${i} is not as it was put in`);
    }
    ring.release(record);
    i++;
  }
  await producer;
  expect(ring.isEmpty).toBe(true);
});
