/** The schema of what serves the operator beside the traffic: the page, what is kept of the past, figures, and hooks. */
import { bytes, endpoint, group, path, wholeMilliseconds, type Schema } from './schema-words.ts';

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

/** Where the page is served when the settings say nothing. */
export const PAGE_LISTEN = '127.0.0.1:9478';

export const page: Schema = group('A page that shows the cluster as this node sees it, for a browser.', {
  serve: { description: 'false: no page at all.', type: 'boolean', default: true },
  listen: {
    ...endpoint(PAGE_LISTEN, 'Where it is served. Anything but this host alone needs `tokenFile`.'),
    default: PAGE_LISTEN,
  },
  tokenFile: path(
    '/etc/stillbeat/page.token',
    'File with the word that a browser must give (mode 0600), made by `stillbeat key new`. Left out: none is asked for.',
  ),
  hosts: {
    description: 'Names under which the page is reached, beside addresses and localhost; others are refused.',
    title: 'a list of names',
    type: 'array',
    items: {
      title: 'a host name without port',
      type: 'string',
      pattern: '^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$',
      examples: ['a.example.org'],
    },
    maxItems: 64,
    default: [],
    examples: [['a.example.org']],
  },
  mirrors: {
    description: 'Control sockets of mirrors on this host (`stillbeat mirror`) that the page shows too.',
    title: 'a list of paths',
    type: 'array',
    items: { type: 'string', minLength: 1, maxLength: 107, examples: ['/run/stillbeat/erp.sock'] },
    maxItems: 16,
    default: [],
    examples: [['/run/stillbeat/erp.sock']],
  },
});

export const events: Schema = group('What is kept of events and figures, for the page and for `stillbeat report`.', {
  file: path(
    '/var/lib/stillbeat/a.events',
    'Left out: beside the control socket, with /var/lib for /run, as NODE.events.',
  ),
  bytes: bytes([0, 1e12], 16_777_216, 'On the disk at most; the oldest goes first. 0: in memory alone.'),
});
