/** `stillbeat send PEER [TEXT|-]`: a message to the programs that listen on a peer. Status 0: one of them has read it. */
import { parseArgs } from 'node:util';
import { AgentError, EXIT } from '../base/errors.ts';
import { MESSAGE_BYTES_MAX, type Client, type MessageType, type Report } from '../client/index.ts';
import { usageError } from './commands.ts';
import { connectPrograms } from './usage.ts';

const TYPES: readonly MessageType[] = ['heartbeat', 'data', 'bulk'];

const MEANING: Readonly<Record<string, string>> = {
  deadline: 'no report within the deadline: see the path to it with "stillbeat status"',
  'no receiver': 'no program there listens on this channel: start one, such as "stillbeat receive"',
};

export async function send(argv: string[]): Promise<number> {
  const options = {
    type: { type: 'string' },
    channel: { type: 'string' },
    config: { type: 'string' },
    socket: { type: 'string' },
  } as const;
  const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true });
  const [peer, text, ...rest] = positionals;
  if (peer === undefined || rest.length > 0)
    throw usageError('send', 'PEER and at most one TEXT (in quotes) are needed');
  const type = TYPES.find((known) => known === (values.type ?? 'data'));
  if (!type) throw usageError('send', `no type ${values.type}: use ${TYPES.join(', ')}`);
  const content = text === undefined || text === '-' ? await standardInput() : Buffer.from(text);
  const client = await connectPrograms('send', values);
  const report = await writeOnce(client, peer, type, content);
  await client.close();
  if (!report.delivered) {
    throw new AgentError('failed', `not delivered to ${peer}: ${MEANING[report.reason] ?? client.error}`);
  }
  process.stdout.write(`delivered to ${peer} after ${report.afterMs} ms\n`);
  return EXIT.ok;
}

async function writeOnce(client: Client, peer: string, type: MessageType, content: Uint8Array): Promise<Report> {
  try {
    return await client.write(peer, type, content);
  } catch (error) {
    throw new AgentError('failed', `send: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Of more than a message can hold no more is read than shows it. */
async function standardInput(): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    pieces.push(piece);
    length += piece.length;
    if (length > MESSAGE_BYTES_MAX) break;
  }
  if (length <= MESSAGE_BYTES_MAX) return Buffer.concat(pieces);
  throw new AgentError(
    'failed',
    `send: more than ${MESSAGE_BYTES_MAX} bytes, the most that one message holds: send it in parts`,
  );
}
