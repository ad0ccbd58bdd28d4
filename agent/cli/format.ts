/**
 * `stillbeat format VOLUME --cluster NAME --nodes a,b[,c…] [--slots N] [--size 64M] [--force] [--json]`: makes a volume.
 * Refuses what would destroy something: a foreign signature (unless --force), a volume in use, a live agent.
 * `stillbeat format VOLUME --add NAME[,NAME…]` and `--remove NAME[,NAME…]` change its nodes while other agents run.
 */
import { parseArgs } from 'node:util';
import { AgentError } from '../base/errors.ts';
import { NODES_MAX } from '../volume/layout.ts';
import { refuseUsage, reportError, sizeBytes } from './arguments.ts';
import { changedText, madeText } from './format-document.ts';
import { changeNodes, type NodesRequest } from './format-nodes.ts';
import { formatVolume, type FormatRequest } from './format-volume.ts';

const NAME = /^[A-Za-z0-9._-]{1,32}$/;
const NAME_RULE = '1 to 32 letters, digits, ".", "_" or "-"';

type Request =
  | ({ readonly kind: 'make'; readonly json: boolean } & FormatRequest)
  | ({ readonly kind: 'nodes'; readonly json: boolean } & NodesRequest);

/** Exit status 0: done; 2: bad usage; 3: the volume cannot be used; 7: somebody else has it. */
export async function format(argv: string[]): Promise<number> {
  let request: Request;
  try {
    request = readArguments(argv);
  } catch (caught) {
    return refuseUsage('format', caught);
  }
  try {
    const made = request.kind === 'make' ? await formatVolume(request) : await changeNodes(request);
    const text = () => (request.kind === 'make' ? madeText(made) : changedText(request.change, request.names, made));
    process.stdout.write(request.json ? `${JSON.stringify(made)}\n` : text());
    return 0;
  } catch (caught) {
    if (request.json && caught instanceof AgentError) {
      const { reason, message } = caught;
      process.stdout.write(`${JSON.stringify({ ok: false, volume: request.path, error: { reason, message } })}\n`);
    }
    return reportError('format', caught);
  }
}

const OPTIONS = {
  cluster: { type: 'string' },
  nodes: { type: 'string' },
  slots: { type: 'string' },
  size: { type: 'string' },
  add: { type: 'string' },
  remove: { type: 'string' },
  force: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

function readArguments(argv: string[]): Request {
  const { values, positionals } = parseArgs({ args: argv, allowPositionals: true, options: OPTIONS });
  const [path, ...more] = positionals;
  if (path === undefined) throw new Error('VOLUME is missing');
  if (more.length > 0) throw new Error(`one VOLUME, not also ${more.join(' ')}`);
  const { json, force } = values;
  if (values.add !== undefined || values.remove !== undefined) {
    const change = values.add === undefined ? 'remove' : 'add';
    const others = ['cluster', 'nodes', 'slots', 'size', change === 'add' ? 'remove' : 'force'] as const;
    const other = force ? 'force' : others.find((name) => values[name] !== undefined && values[name] !== false);
    if (other !== undefined) throw new Error(`--${change} changes a volume that is there: leave --${other} out`);
    return { kind: 'nodes', json, path, change, names: nodeNames(values[change], change) };
  }
  const size = values.size === undefined ? null : sizeBytes(values.size);
  if (values.size !== undefined && size === null) throw new Error(`--size ${values.size} is no size such as 64M`);
  const cluster = clusterName(values.cluster);
  const nodes = nodeNames(values.nodes, 'nodes');
  return {
    kind: 'make',
    json,
    path,
    cluster,
    nodes,
    slots: slotCount(values.slots, nodes.length),
    sizeBytes: size,
    force,
  };
}

function slotCount(given: string | undefined, nodeCount: number): number | null {
  if (given === undefined) return null;
  const count = /^\d{1,3}$/.test(given) ? Number(given) : Number.NaN;
  if (count >= nodeCount && count <= NODES_MAX) return count;
  throw new Error(`--slots ${given} is no number from ${nodeCount} (the nodes) to ${NODES_MAX}`);
}

function clusterName(given: string | undefined): string {
  if (given === undefined) throw new Error('--cluster is missing');
  if (!NAME.test(given)) throw new Error(`--cluster "${given}" is not ${NAME_RULE}`);
  return given;
}

function nodeNames(given: string | undefined, option: string): string[] {
  if (given === undefined) throw new Error(`--${option} is missing`);
  const names = given.split(',');
  for (const [index, name] of names.entries()) {
    if (!NAME.test(name)) throw new Error(`node name "${name}" is not ${NAME_RULE}`);
    if (names.indexOf(name) !== index) throw new Error(`node ${name} is named twice`);
  }
  if (names.length > NODES_MAX) throw new Error(`${names.length} nodes, a volume has room for ${NODES_MAX}`);
  return names;
}
