/** Which promises of a source a change of its settings takes back from targets that do not know yet. */
import { expect, test } from 'vitest';
import { isTakenBack, type SourcePromise } from '../../../agent/mirror/core/promise.ts';

const ALL: readonly SourcePromise[] = ['degrade', 'strict', 'logged'];

test('[MI14] what a target would take over by, and is so no more', () => {
  const taken = ALL.flatMap((former) =>
    ALL.filter((now) => isTakenBack(former, now)).map((now) => `${former} to ${now}`),
  );
  expect(taken).toEqual(['strict to degrade', 'strict to logged', 'logged to degrade']);
});
