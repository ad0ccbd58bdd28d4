/**
 * `stillbeat format VOLUME --cluster NAME --nodes a,b[,c…] [--size 64M] [--force] [--json]`: makes a volume. Refuses what
 * would destroy something: a foreign signature (unless --force), a volume in use, a live agent.
 */
import { parseArgs } from 'node:util';
import { AgentError } from '../base/errors.ts';
import { NODES_MAX } from '../volume/layout.ts';
import { sizeText } from '../check/system.ts';
import { refuseUsage, reportError, sizeBytes } from './arguments.ts';
import { formatVolume, type FormatRequest, type FormattedVolume } from './format-volume.ts';

const NAME = /^[A-Za-z0-9._-]{1,32}$/;
const NAME_RULE = '1 to 32 letters, digits, ".", "_" or "-"';

/** Exit status 0: formatted; 2: bad usage; 3: the volume cannot be used; 7: an agent is live on it. */
export async function format(argv: string[]): Promise<number> {
  let request: FormatRequest & { readonly json: boolean };
  try {
    request = readArguments(argv);
  } catch (caught) {
    return refuseUsage('format', caught);
  }
  try {
    const formatted = await formatVolume(request);
    process.stdout.write(request.json ? `${JSON.stringify(formatted)}\n` : text(formatted));
    return 0;
  } catch (caught) {
    if (request.json && caught instanceof AgentError) {
      const { reason, message } = caught;
      process.stdout.write(`${JSON.stringify({ ok: false, volume: request.path, error: { reason, message } })}\n`);
    }
    return reportError('format', caught);
  }
}

function readArguments(argv: string[]): FormatRequest & { readonly json: boolean } {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      cluster: { type: 'string' },
      nodes: { type: 'string' },
      size: { type: 'string' },
      force: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  });
  const [path, ...more] = positionals;
  if (path === undefined) throw new Error('VOLUME is missing');
  if (more.length > 0) throw new Error(`one VOLUME, not also ${more.join(' ')}`);
  const size = values.size === undefined ? null : sizeBytes(values.size);
  if (values.size !== undefined && size === null) throw new Error(`--size ${values.size} is no size such as 64M`);
  return {
    path,
    cluster: clusterName(values.cluster),
    nodes: nodeNames(values.nodes),
    sizeBytes: size,
    force: values.force,
    json: values.json,
  };
}

function clusterName(given: string | undefined): string {
  if (given === undefined) throw new Error('--cluster is missing');
  if (!NAME.test(given)) throw new Error(`--cluster "${given}" is not ${NAME_RULE}`);
  return given;
}

function nodeNames(given: string | undefined): string[] {
  if (given === undefined) throw new Error('--nodes is missing');
  const names = given.split(',');
  for (const [index, name] of names.entries()) {
    if (!NAME.test(name)) throw new Error(`node name "${name}" is not ${NAME_RULE}`);
    if (names.indexOf(name) !== index) throw new Error(`node ${name} is named twice`);
  }
  if (names.length > NODES_MAX) throw new Error(`${names.length} nodes, a volume has room for ${NODES_MAX}`);
  return names;
}

function text(made: FormattedVolume): string {
  const access = made.direct ? 'around the page cache' : 'through the page cache: for nodes on this host only';
  return (
    `formatted ${made.volume} (${sizeText(made.bytes)}) for cluster ${made.cluster}, ${made.uuid}\n` +
    `nodes ${made.nodes.join(', ')}: ${sizeText(made.slotBytes)} each; sectors of ${made.sectorBytes} bytes, ${access}\n`
  );
}
