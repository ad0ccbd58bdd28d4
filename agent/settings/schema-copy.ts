/** The part of the settings' schema that says how the send volume becomes the peers' receive volume. */
import { recorders } from './mirror-schema.ts';
import { endpoint, group, oneOrList, path, wholeMilliseconds, type Properties, type Schema } from './schema-words.ts';

export const COPY_KINDS = ['shared', 'local', 'command', 'mirror'] as const;
export type CopyKind = (typeof COPY_KINDS)[number];

const journal = (example: string, description: string): Schema =>
  group(
    description,
    {
      path: path(example, 'A file or device of its own; made at the first start when it is not there.'),
      size: {
        description: 'Rate of writes times the longest outage that is to be bridged. Bytes, or with K, M or G.',
        title: 'a size such as 64M or 1G',
        type: 'string',
        pattern: '^[0-9]{1,15}[KMG]?$',
        default: '64M',
      },
    },
    ['path'],
  );

/** Below a peer. */
export const peerMirror: Schema = group(
  'With storage.copy: mirror. The storage link to this peer.',
  {
    connect: endpoint('192.168.60.2:7790', 'The peer’s `listen` for this node: this node’s writes are sent there.'),
    listen: endpoint('192.168.60.1:7790', 'Where the peer’s writes come in; a port of its own for each peer.'),
    journal: journal('/var/lib/stillbeat/from-b.journal', 'What arrives from the peer is kept here first.'),
  },
  ['connect', 'listen', 'journal'],
);

/** Below `storage`. */
export const copyProperties: Properties = {
  copy: {
    description:
      'How the send volume becomes the peer’s receive volume. shared: they are the same blocks. local: this agent copies ' +
      'to another volume of this host. command: a program of yours copies. mirror: the agents replicate over a storage link.',
    enum: COPY_KINDS,
    default: 'shared',
  },
  copyWithinMs: wholeMilliseconds(
    [10, 600_000],
    1000,
    'With a copy: what is written is to be readable at the peers within this, and what they write here; later is a miss, ' +
      'counted and told.',
  ),
  local: group(
    'With copy: local.',
    { volume: path('/dev/vg/receive', 'Where this agent copies to: the peers’ receive volume.') },
    ['volume'],
  ),
  mirror: group(
    'With copy: mirror.',
    {
      journal: journal(
        '/var/lib/stillbeat/send-a.journal',
        'What this node writes is kept here until all peers have it.',
      ),
      recorders,
    },
    ['journal'],
  ),
  command: group(
    'With copy: command.',
    {
      run: oneOrList(
        'a program, or a list of a program and its arguments',
        ['/etc/stillbeat/copy', ['/etc/stillbeat/copy', '/dev/vg/receive']],
        'What copies the send volume, by its whole path; no shell. It ends with status 0 when all that was written before ' +
          'it began is readable at the peers.',
      ),
      intervalMs: wholeMilliseconds([10, 600_000], 500, 'It is begun so often, and never while it runs.'),
      timeoutMs: wholeMilliseconds([100, 3_600_000], 30_000, 'One that runs longer is ended, and has failed.'),
      onCommand: {
        description: 'true: it is run by `stillbeat copy` alone.',
        type: 'boolean',
        default: false,
      },
    },
    ['run'],
  ),
};
