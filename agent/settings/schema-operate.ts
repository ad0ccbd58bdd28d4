/** The schema of what serves the operator beside the traffic: figures for Prometheus, and programs run at changes. */
import { endpoint, group, wholeMilliseconds, type Schema } from './schema-words.ts';

export const metrics: Schema = group('Figures for Prometheus over HTTP, at /metrics. Left out: none are served.', {
  listen: endpoint('127.0.0.1:9477', 'Where they are served; 127.0.0.1 is for this host alone.'),
});

export const hooks: Schema = group('Programs of your own that the agent runs; they never hold up packets.', {
  onPath: {
    description: 'Program that is run when the path to a peer has changed, and once for each peer after a start.',
    title: 'an absolute path',
    type: 'string',
    pattern: '^/',
    examples: ['/etc/stillbeat/on-path'],
  },
  timeoutMs: wholeMilliseconds([100, 600_000], 5000, 'A program that runs longer is ended, with what it started.'),
});
