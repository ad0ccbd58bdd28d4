import { describe, expect, test } from 'vitest';
import { BULK, CONTROL, DATA, HEARTBEAT } from '../../../agent/base/packet-type.ts';
import { mayEnterWriteBuffer, POLICY, type RequestKind } from '../../../agent/core/policy.ts';

test('control and heartbeat travel both ways at once, data and bulk one at a time', () => {
  const types = [CONTROL, HEARTBEAT, DATA, BULK] as const;
  expect(types.map((type) => POLICY[type])).toEqual(['both', 'both', 'failover', 'failover']);
});

describe('[AG2] the write buffer', () => {
  const kinds: readonly RequestKind[] = ['write', 'read', 'control'];
  const answers = (policy: 'both' | 'failover'): string[] =>
    kinds.flatMap((kind) =>
      [true, false].flatMap((networkAvailable) =>
        [true, false]
          .filter((storageAvailable) => mayEnterWriteBuffer({ kind, networkAvailable, storageAvailable, policy }))
          .map((storageAvailable) => `${kind} network=${networkAvailable} storage=${storageAvailable}`),
      ),
    );

  test('takes a packet only when all three conditions hold', () => {
    expect(answers('failover')).toEqual(['write network=false storage=true']);
  });

  test('takes packets of policy both while the network is healthy too, but no others', () => {
    expect(answers('both')).toEqual(['write network=true storage=true', 'write network=false storage=true']);
  });
});
