/** The group `gateway`: the way to the outside through a peer, while this node's own is out. */
import { group, interfaceName, type Schema } from './schema-words.ts';

export const gatewaySchema: Schema = group(
  'The way to the outside through a peer. A node may offer its own way, use that of others while its own is out, or both.',
  {
    offer: {
      description: 'true: peers may reach the outside through this node. Sets up forwarding and address translation.',
      type: 'boolean',
      default: false,
    },
    uplink: {
      ...interfaceName(
        'Interface by which this node itself reaches the outside. Needed with `offer`; left out with `use` alone: ' +
          'primary.interface.',
      ),
      examples: ['eth0'],
    },
    use: {
      description: 'Peers through which to reach the outside while the own way is out: the first that offers is taken.',
      title: 'a list of peers',
      type: 'array',
      items: { type: 'string', examples: ['b'] },
      maxItems: 63,
      default: [],
      examples: [['b', 'c']],
    },
    prefixes: {
      description: 'What is outside: sent through a gateway by a node that uses, let through by one that offers.',
      title: 'a list of 1 to 8 networks such as 0.0.0.0/0 or "::/0"',
      type: 'array',
      items: { type: 'string', examples: ['0.0.0.0/0'] },
      minItems: 1,
      maxItems: 8,
      default: ['0.0.0.0/0'],
    },
    ping: {
      description:
        'Addresses outside that answer ping: while none of them does, the own way is out. Left out: carrier, routes ' +
        'and peers tell, and the next router when no peer is heard.',
      title: 'a list of at most 4 addresses',
      type: 'array',
      items: { type: 'string', examples: ['198.51.100.1'] },
      maxItems: 4,
      default: [],
      examples: [['198.51.100.1']],
    },
  },
);
