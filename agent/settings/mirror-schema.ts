/**
 * The replicator's settings as JSON Schemas, one for each role: as for the agent's, the only place that knows defaults.
 */
import {
  bytes,
  endpoint,
  group,
  name,
  number,
  path,
  wholeMilliseconds,
  type Properties,
  type Schema,
} from './schema-words.ts';
import { metrics } from './schema-operate.ts';

export const size = (example: string, description: string): Schema => ({
  description: `${description} Bytes, or with K, M, G or T.`,
  title: 'a size such as 64M or 1G',
  type: ['string', 'integer'],
  pattern: '^[0-9]{1,15}[KMGT]?$',
  minimum: 1,
  maximum: 1e15,
  examples: [example],
});

/** How far back a recording goes. */
export const retention = group('How far back a state can be restored at least as long as both hold.', {
  hours: number('number', [0, 87_600], 24, 'What is older becomes part of the base; 0: not by time.'),
  bytes: {
    ...size('100G', 'Of each monitor, beside its base; the oldest goes first. 0: no bound but the storage.'),
    minimum: 0,
    default: '100G',
  },
});

const journal = group(
  'A file or block device of its own for what is under way: it bears a link that is out for as long as it has room.',
  {
    path: path('/var/lib/stillbeat/erp.journal', 'Made at the first start when it is not there.'),
    size: { ...size('1G', 'Rate of writes times the longest outage that is to be bridged.'), default: '1G' },
    window: { ...size('64M', 'The newest part of it that is kept in memory.'), default: '64M' },
  },
  ['path'],
);

const volume = group(
  'A volume of the group.',
  {
    name: name('data', 'The same at source and target; also the name of its NBD export.'),
    path: path('/dev/vg/data', 'Block device or file.'),
  },
  ['name', 'path'],
);

const volumes: Schema = {
  description: 'The volumes that share one order of writes and one cut.',
  title: 'a list of 1 to 64 volumes',
  type: 'array',
  items: volume,
  minItems: 1,
  maxItems: 64,
  examples: [[{ name: 'data', path: '/dev/vg/data' }]],
};

const exportKeyFile = path(
  '/etc/stillbeat/exports.psk',
  'Keys of the clients, identity:key a line: with it every client needs TLS and one of them. Left out: no TLS.',
);

const listen: Schema = {
  description: 'Where clients reach the volumes by NBD: address:port, or unix: and a path.',
  type: 'string',
  examples: ['127.0.0.1:10809', 'unix:/run/stillbeat/erp.nbd'],
};

const common = (role: 'source' | 'target'): Properties => ({
  group: name('erp', 'The consistency group.'),
  role: { description: 'What this file is for.', enum: [role], examples: [role] },
  keyFile: path(
    '/etc/stillbeat/cluster.key',
    'The cluster key; source and target prove to each other that they have it.',
  ),
  journal,
  volumes,
  log,
  metrics,
  control: group('Where `stillbeat mirror` asks.', {
    socket: path(
      '/run/stillbeat/erp.sock',
      'Unix socket. Left out: /run/stillbeat/mirror-GROUP.sock, with -NAME of a target.',
    ),
  }),
});

const target = group(
  'A copy of the group.',
  {
    name: name('east', 'Its own `name`.'),
    connect: endpoint('192.168.60.2:7790', 'Its `listen`.'),
    connections: number(
      'integer',
      [1, 8],
      1,
      'That carry writes to it, in any order; the direct question has one more.',
    ),
  },
  ['name', 'connect'],
);

const log = group(
  'A small file or block device that source and targets reach, best at a third place: it is written there that a target is ' +
    'outdated before the first write is answered without it, and a takeover asks there.',
  {
    path: path('/mnt/third/erp.log', 'The same at source and targets. A file is made by the source.'),
    records: group(
      'A folder there in which the source keeps control and data of the newest writes: from it a recorder that lost some restores itself.',
      {
        path: path('/mnt/third/records/erp', 'Its own for this group, below what the recorder has as log.path.'),
        size: { ...size('1G', 'No more than so much; the oldest goes first.'), default: '1G' },
      },
      ['path'],
    ),
  },
  ['path'],
);

const recorder = group(
  'Who keeps a history of what is written.',
  {
    name: name('vault', 'Its own `name`.'),
    connect: endpoint('192.168.60.3:7791', 'Its `listen`.'),
    connections: number('integer', [1, 16], 1, 'That carry data, beside one for control.'),
    wait: {
      description:
        'true: writers wait when the journal is full of what the recorder lacks. false: then it misses some, a gap.',
      type: 'boolean',
      default: false,
    },
    dataFolder: path(
      '/mnt/shared/erp-data',
      'A folder that source and recorder reach by this name: data goes there, and control alone over the link. Left out: both over links.',
    ),
  },
  ['name', 'connect'],
);

/** Of a source, and of an agent whose send volume is mirrored. */
export const recorders: Schema = {
  description: 'Who keeps a history.',
  title: 'a list of up to 4 recorders',
  type: 'array',
  items: recorder,
  maxItems: 4,
  default: [],
};

/** What a source is, and what a target will be when it has taken over. */
const asSource: Properties = {
  targets: {
    description: 'The copies.',
    title: 'a list of up to 8 targets',
    type: 'array',
    items: target,
    maxItems: 8,
    default: [],
  },
  recorders,
  acknowledge: {
    description:
      'When a write is answered: sync, durable at all targets that are in sync; receipt, in their memory; local, ' +
      'durable here; cycle, durable here and its cycle closed.',
    enum: ['sync', 'receipt', 'local', 'cycle'],
    default: 'cycle',
  },
  cycleMs: wholeMilliseconds([1, 600_000], 1000, 'The longest time that a cycle stays open.'),
  cycleBytes: bytes([4096, 1e12], 67_108_864, 'A cycle is closed when it has so much.'),
  checksum: {
    description:
      'By what volumes are compared: crc32 (with xxh64) is the quickest; the others cannot be made equal on purpose.',
    enum: ['crc32', 'md5', 'sha1', 'sha256'],
    default: 'crc32',
  },
  checkpoint: group('How receive volumes come from cut to cut.', {
    by: {
      description:
        'entries: whatever is committed is redone at once; references: at a cut, by a list of the blocks that ' +
        'changed, each verified, of which only partly written ones are sent again; data: the same, all are sent. ' +
        'Left out: references where everyCycles is given, else entries.',
      enum: ['entries', 'references', 'data'],
      examples: ['references'],
    },
    everyCycles: number('integer', [0, 1_000_000], 0, 'A cut after so many cycles; 0: not by their number.'),
    ms: number('integer', [0, 86_400_000], 1000, 'Milliseconds. A cut after so long; 0: not by the clock.'),
    onFlush: { description: "A cut with each client's flush.", type: 'boolean', default: false },
  }),
  limits: group('Bounds on what goes over the links.', {
    bytesPerSecond: bytes([0, 1e12], 0, 'To each target; 0 is none. What waits stands in the journal.'),
  }),
  inquiry: group('The direct question on each link: is the other side there?', {
    intervalMs: wholeMilliseconds([10, 60_000], 250, 'How often it is asked.'),
    misses: number('integer', [1, 100], 4, 'So many without an answer are a lost link.'),
  }),
  overflow: group('When the journal is full of what a target lacks.', {
    afterMs: wholeMilliseconds([0, 600_000], 3000, 'So long writes wait for room; clients have time limits too.'),
    policy: {
      description:
        'degrade: then a bitmap stands for what the target lacks, and clients go on without it; strict: nothing is ' +
        'ever answered without it.',
      enum: ['degrade', 'strict'],
      default: 'degrade',
    },
  }),
  scrub: group('The comparison of a copy that is in sync: it names what differs, and mends nothing.', {
    everyHours: number('number', [0, 500], 24, 'How often; 0: on command alone.'),
    bytesPerSecond: bytes([0, 1e12], 67_108_864, 'No more than so much is read; 0: no bound.'),
    idleMs: wholeMilliseconds(
      [0, 60_000],
      200,
      'When clients have written nothing for so long it goes on at that rate.',
    ),
  }),
};

/** What a target is, and what a source will be when it has been overtaken. */
const asTarget: Properties = {
  name: name('east', 'What the source calls this target.'),
  listen: endpoint('192.168.60.2:7790', 'Where the source dials.'),
};

export const mirrorSourceSchema: Schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'stillbeat mirror source settings',
  ...group(
    'The source of a mirrored group.',
    {
      ...common('source'),
      export: group('The NBD server.', { listen, keyFile: exportKeyFile }, ['listen']),
      ...asSource,
      failback: group('What it is as a target, when another side has taken over.', asTarget, ['name', 'listen']),
    },
    ['group', 'role', 'keyFile', 'journal', 'volumes', 'export'],
  ),
};

export const mirrorTargetSchema: Schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'stillbeat mirror target settings',
  ...group(
    'A target of a mirrored group.',
    {
      ...common('target'),
      ...asTarget,
      export: group('The NBD server: the receive volumes, read-only, at a cut. Left out: none.', {
        listen,
        keyFile: exportKeyFile,
      }),
      history: group(
        'It keeps a history of what its volumes show, without a recorder. Left out: none.',
        {
          path: path(
            '/var/lib/stillbeat/erp-history',
            'A folder of its own, best on a file system of its own: it may fill it. Made at the first start.',
          ),
          retention,
        },
        ['path'],
      ),
      takeover: group('What it is as a source, when it has taken over.', asSource),
    },
    ['group', 'role', 'name', 'keyFile', 'listen', 'journal', 'volumes'],
  ),
};
