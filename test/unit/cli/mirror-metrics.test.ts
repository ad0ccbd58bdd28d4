/** The mirror's figures, and a copy's, of documents that a test makes: also what lasts for moments only. */
import { expect, test } from 'vitest';
import { MIRROR_METRICS } from '../../../agent/cli/mirror-metrics.ts';
import type { TargetState } from '../../../agent/mirror/core/target-link.ts';
import { COPY_STATES } from '../../../agent/operate/metrics-copies.ts';
import { metricsTable } from '../../../agent/operate/metrics-table.ts';
import { metricsText } from '../../../agent/operate/metrics-text.ts';
import { documentedMetrics, tableOf } from '../../support/metrics-tables.ts';

const labelsOf = (labels: readonly string[]): string => labels.map((label) => `\`${label}\``).join(', ') || '–';

test('README has what is served, and nothing else', () => {
  const served = Object.fromEntries(MIRROR_METRICS.map(({ name, labels }) => [name, labelsOf(labels)]));
  expect(tableOf(documentedMetrics('Metrics of the mirror'))).toEqual(served);
  const counts = { events: new Map(), changes: new Map(), hookRuns: new Map() };
  const all = Object.fromEntries(metricsTable(counts).map(({ name, labels }) => [name, labelsOf(labels)]));
  expect(tableOf([...documentedMetrics('Metrics'), ...documentedMetrics('Metrics of copies')])).toEqual(all);
});

test('every state that a target may be in is one of the words', () => {
  const states: Record<TargetState, true> = {
    'in-sync': true,
    replicating: true,
    resyncing: true,
    scanning: true,
    initialising: true,
    journaling: true,
    bitmap: true,
    stopped: true,
  };
  expect([...COPY_STATES].toSorted()).toEqual(Object.keys(states).toSorted());
});

test('a source with a comparison under way: done, in all, and the time that is left; none without', async () => {
  const source = (resync: unknown) => ({
    group: 'erp',
    role: 'source',
    state: 'resyncing',
    targets: [{ name: 'east', state: 'resyncing', lag: { seconds: 1.5 }, resync }],
  });
  const text = await metricsText(source({ done: 3, total: 16, secondsLeft: 40 }), MIRROR_METRICS);
  expect(text).toContain('stillbeat_mirror_target_resync_done_regions{target="east"} 3\n');
  expect(text).toContain('stillbeat_mirror_target_resync_regions{target="east"} 16\n');
  expect(text).toContain('stillbeat_mirror_target_resync_left_seconds{target="east"} 40\n');
  expect(text).toContain('stillbeat_mirror_target_lag_seconds{target="east"} 1.5\n');
  expect(text).toContain('stillbeat_mirror_state{state="resyncing"} 1\n');
  expect(text).toMatch(
    /^stillbeat_mirror_info\{group="erp",role="source",name="",acknowledge="",version="[\d.]+"\} 1$/m,
  );
  expect(await metricsText(source(null), MIRROR_METRICS)).not.toContain('resync_');
});
