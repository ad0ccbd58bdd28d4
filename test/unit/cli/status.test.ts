/** The status document when the switch thread hangs: what shared memory holds, and no error. */
import { expect, test } from 'vitest';
import type { Agent } from '../../../agent/agent.ts';
import type { CorosyncDocument } from '../../../agent/operate/corosync-advice.ts';
import { AgentError } from '../../../agent/base/errors.ts';
import { statusText } from '../../../agent/cli/status-text.ts';
import { systemClock } from '../../../agent/platform/clock.ts';
import { AGENT_TIME, SharedState, sharedStateBytes } from '../../../agent/queue/shared-state.ts';
import { parseSettings } from '../../../agent/settings/load.ts';
import { statusDocument } from '../../../agent/status.ts';
import { changed } from '../settings/minimal.ts';

function hangingAgent(): Agent {
  const state = new SharedState(new SharedArrayBuffer(sharedStateBytes(1)), 1);
  state.times[AGENT_TIME.writtenMs] = systemClock.monotonicMs();
  state.times[AGENT_TIME.batches] = 7;
  return {
    settings: parseSettings(changed({}), 'f.yaml'),
    state,
    keys: [],
    incarnation: new Uint8Array(16),
    volumes: { send: { path: '/v', slotBytes: 4096 }, isDirect: true, sectorBytes: 512 },
    snapshot: async () => Promise.reject(new AgentError('failed', 'the switch thread does not answer')),
  } as unknown as Agent;
}

const ADVICE: CorosyncDocument = {
  nodes: 2,
  oneWayMs: null,
  tokenMinMs: null,
  configuredTokenMs: null,
  fits: null,
  problem: null,
};

test('says so, and still tells of the storage', async () => {
  const document = await statusDocument(hangingAgent(), [{ at: 'then', kind: 'thread-stalled' }], ADVICE, {});
  expect(document).toMatchObject({
    cluster: 'lab',
    switch: 'not answering',
    vnic: { name: 'sb0', frames: null },
    storage: { available: true, batches: 7, writeError: null },
    queues: null,
    peers: [],
    events: [{ kind: 'thread-stalled' }],
  });
  expect(statusText(document, false)).toMatch(/^switch +NOT ANSWERING/m);
});
