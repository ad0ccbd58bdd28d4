/** The settings of messages between programs: `stillbeat send`, `stillbeat receive` and the client library. */
import { group, wholeMilliseconds, type Schema } from './schema-words.ts';

export const messages: Schema = group('Messages between programs on the nodes.', {
  socket: {
    description:
      'Unix socket for programs, at most 107 characters. Left out: beside the control socket, /run/stillbeat/<node>.messages.sock.',
    title: 'a path of at most 107 characters',
    type: 'string',
    minLength: 1,
    maxLength: 107,
    examples: ['/run/stillbeat/a.messages.sock'],
  },
  deadlineMs: wholeMilliseconds(
    [1, 600_000],
    1000,
    'A message that no program on the peer has read after this is reported and counted as missed.',
  ),
});
