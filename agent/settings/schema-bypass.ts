/** What `primary.mode: route` lets past the agent. */
import type { Schema } from './schema-words.ts';

export const bypass: Schema = {
  description: 'With mode route: the packet types that go past the agents, UNENCRYPTED, while the network is healthy.',
  title: 'a list of bulk and data',
  type: 'array',
  items: { enum: ['bulk', 'data'], examples: ['bulk'] },
  minItems: 1,
  default: ['bulk'],
};
