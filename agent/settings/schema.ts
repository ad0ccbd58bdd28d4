/**
 * The settings file as a JSON Schema: every key, its unit, its limits, its default and one line of why. It is the only
 * place that knows defaults; the loader fills them in from here, editors get it as `config/settings.schema.json`
 * (a test holds the two together), and the messages of `schema-problems.ts` are worded from it.
 *
 * What involves two keys (an address outside the subnet, a peer named twice) is in `meaning.ts`.
 */

import { bypass } from './schema-bypass.ts';
import { copyProperties, peerMirror } from './schema-copy.ts';
import { corosync } from './schema-corosync.ts';
import { messages } from './schema-messages.ts';
import { events, hooks, metrics, page } from './schema-operate.ts';
import { gatewaySchema } from './schema-gateway.ts';
import {
  bytes,
  endpoint,
  group,
  interfaceName,
  milliseconds,
  name,
  number,
  oneOrList,
  path,
  wholeMilliseconds,
  type Schema,
} from './schema-words.ts';

/** No agent writes its head block less often: who watches a volume for live agents relies on it. */
export const BEACON_MS_MAX = 1000;

const receive = group(
  'Where this node reads what the peer writes. Left out: the send volume, which is right for a shared LUN.',
  { volume: path('/dev/mapper/heartbeat', 'Block device or file that holds the peer’s slot.') },
  ['volume'],
);

const peer = group(
  'Another node of the cluster.',
  {
    node: name('b', 'The peer’s name: its own `node`.'),
    address: oneOrList(
      'an address such as 10.77.0.2, or a list of them',
      ['10.77.0.2', ['10.77.0.2', 'fd77::2']],
      'The peer’s address on the virtual network, without prefix; a list for IPv4 and IPv6.',
    ),
    primary: endpoint('192.168.50.2:7788', 'The peer’s `primary.listen`. Needed unless `primary.mode` is none.'),
    receive,
    mirror: peerMirror,
  },
  ['node', 'address'],
);

const typeRule = group(
  'Packets that match every given field get this type.',
  {
    type: {
      description: 'heartbeat goes both ways at once, data fails over, bulk fails over and is dropped first.',
      enum: ['heartbeat', 'data', 'bulk'],
      examples: ['heartbeat'],
    },
    protocol: {
      description: 'IP protocol by name or number. Left out: any.',
      anyOf: [{ enum: ['tcp', 'udp', 'sctp', 'icmp'] }, { type: 'integer', minimum: 0, maximum: 255 }],
      examples: ['udp', 132],
    },
    port: {
      description: 'Port on either end, or a range "low-high". Left out: any.',
      anyOf: [
        { type: 'integer', minimum: 1, maximum: 65_535 },
        { title: 'a range such as "5404-5412"', type: 'string', pattern: '^[0-9]{1,5}-[0-9]{1,5}$' },
      ],
      examples: [5405, '5404-5412'],
    },
    minBytes: {
      description: 'Bytes. Only packets of at least this IP length match. Left out: any length.',
      type: 'integer',
      minimum: 1,
      maximum: 65_535,
      examples: [16_384],
    },
  },
  ['type'],
);

const vnic = group(
  'The virtual network interface that applications use.',
  {
    name: { ...interfaceName('Name of the interface.'), default: 'sb0' },
    address: oneOrList(
      'an address with its prefix such as 10.77.0.1/24, or a list of them',
      ['10.77.0.1/24', ['10.77.0.1/24', 'fd77::1/64']],
      'This node’s address on the virtual network, with prefix length; a list for IPv4 and IPv6.',
    ),
    mtu: bytes(
      [576, 65_000],
      1500,
      'Largest packet of the interface; at least 1280 with an IPv6 address. It need not match the primary network’s.',
    ),
  },
  ['address'],
);

const storage = group(
  'The way through volumes.',
  {
    send: group(
      'Where this node writes its outgoing packets, into the slot of its own name.',
      { volume: path('/dev/mapper/heartbeat', 'Block device or file made by `stillbeat format`.') },
      ['volume'],
    ),
    pollMs: group('How often receive volumes are read.', {
      idle: milliseconds([0.1, 10_000], 50, 'While a peer writes nothing: longer costs the storage less.'),
      active: milliseconds([0.001, 1000], 0.02, 'While a peer writes: this is the latency that polling adds.'),
    }),
    beaconMs: wholeMilliseconds(
      [10, BEACON_MS_MAX],
      1000,
      'How often an idle node writes a sign that its storage works. Not more: `format`, and an agent that finds its ' +
        'slot in use, watch for a live owner for a time that this limit bounds.',
    ),
    maxAgeMs: wholeMilliseconds(
      [50, 600_000],
      2000,
      'A packet longer under way than this is dropped: old heartbeats must not keep a dead node alive.',
    ),
    writeDeadlineMs: wholeMilliseconds(
      [10, 600_000],
      1000,
      'A write that takes longer makes the storage unavailable until it ends; a read that does, its volume.',
    ),
    flush: group('When buffered packets are written; whichever comes first.', {
      thresholdBytes: bytes([1, 16_777_216], 65_536, 'Write as soon as this much waits.'),
      deadlineMs: milliseconds([0, 1000], 0.2, 'Write when the oldest packet has waited this long.'),
    }),
    limits: group('Load that the agent may put on the storage; 0 is no limit.', {
      bytesPerSecond: bytes([0, 1e12], 0, 'Written in a second. The LUN stands on production storage.'),
      operationsPerSecond: number('integer', [0, 1e9], 0, 'Writes in a second.'),
    }),
    ...copyProperties,
  },
  ['send'],
);

const primary = group('The ordinary network between the nodes.', {
  mode: {
    description:
      'tunnel: packets travel through the agents. route: those of the types in `bypass` past them. none: the storage ' +
      'is always used.',
    enum: ['tunnel', 'route', 'none'],
    default: 'tunnel',
  },
  interface: {
    ...interfaceName('Interface whose carrier is watched: a lost carrier is a failure at once. Left out: not watched.'),
    examples: ['eth0'],
  },
  bypass,
  listen: endpoint('192.168.50.1:7788', 'This node’s own UDP endpoint. Needed unless `mode` is none.'),
  probe: group('How a peer’s network is judged.', {
    intervalMs: wholeMilliseconds([5, 60_000], 50, 'Time between probes.'),
    misses: number('integer', [1, 1000], 3, 'Probes. So many lost in a row are a failure.'),
    stableForMs: wholeMilliseconds([0, 3_600_000], 3000, 'Time without loss before traffic returns to the network.'),
    stableForMaxMs: wholeMilliseconds(
      [0, 86_400_000],
      60_000,
      'stableForMs doubles each time the network fails again soon, up to this.',
    ),
  }),
});

export const settingsSchema: Schema = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Settings of the stillbeat agent',
  type: 'object',
  properties: {
    cluster: name('lab', 'Name of the cluster: the one its volumes were formatted with.'),
    node: name('a', 'Name of this node: also the name of its slot.'),
    keyFile: path(
      '/etc/stillbeat/cluster.key',
      'File with the cluster key (mode 0600), the same on every node. Needed unless `unauthenticated` is true.',
    ),
    unauthenticated: {
      description: 'true: run without a key. Anybody who can reach the network or a volume can then inject packets.',
      type: 'boolean',
      default: false,
    },
    vnic,
    storage,
    primary,
    queues: group('Memory for packets on their way.', {
      retainBytes: bytes(
        [65_536, 1_073_741_824],
        8_388_608,
        'Unconfirmed packets kept for resending at a change of ways, for each peer and type.',
      ),
    }),
    peers: {
      description: 'The other nodes of the cluster.',
      title: 'a list of 1 to 63 peers',
      type: 'array',
      items: peer,
      minItems: 1,
      maxItems: 63,
      examples: [[{ node: 'b', address: '10.77.0.2', primary: '192.168.50.2:7788' }]],
    },
    types: {
      description: 'Rules that give packets a type: the first match wins, then built-in rules; the rest is data.',
      title: 'a list of rules',
      type: 'array',
      items: typeRule,
      default: [],
    },
    gateway: gatewaySchema,
    control: group('The socket by which `status` and `path` speak to the agent.', {
      socket: {
        description: 'Unix socket, at most 107 characters. Left out: /run/stillbeat/<node>.sock.',
        title: 'a path of at most 107 characters',
        type: 'string',
        minLength: 1,
        maxLength: 107,
        examples: ['/run/stillbeat/a.sock'],
      },
    }),
    messages,
    corosync,
    metrics,
    page,
    events,
    hooks,
  },
  required: ['cluster', 'node', 'vnic', 'storage', 'peers'],
  additionalProperties: false,
};
