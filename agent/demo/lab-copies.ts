/**
 * Volumes for a lab in which nobody shares one: each node has a send volume, and a copy of it that the others read. How the
 * copy is made is the lab's choice of kind.
 */
import { fileURLToPath } from 'node:url';
import type { Lab } from './lab.ts';
import type { Overrides } from './lab-settings.ts';

export const LAB_COPIES = ['local', 'command', 'mirror'] as const;
export type LabCopy = (typeof LAB_COPIES)[number];

/** What the demo calls the way through the volumes. */
export const COPY_WORDS = {
  shared: 'shared volume',
  local: 'two volumes each way, copied by the agents',
  command: 'two volumes each way, copied by dd',
  mirror: 'two storage systems, mirrored over a link of their own',
} as const;

/** Copied whole at each interval by the command: small. */
const COMMAND_BYTES = 9 * 1024 * 1024;
const COMMAND_INTERVAL_MS = 100;

const DD = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../../config/copy/dd' : '../../../config/copy/dd', import.meta.url),
);

/** What a node writes to, and what the others read of it. */
export interface CopiedVolumes {
  readonly send: string;
  readonly receive: string;
  /** The files behind the two. */
  readonly sendFile: string;
  readonly receiveFile: string;
}

const MIRROR_PORT = 7790;

/** Makes the volumes, formats the send volumes, and tells the lab; answers them by node. */
export async function prepareCopies(lab: Lab, kind: LabCopy): Promise<ReadonlyMap<string, CopiedVolumes>> {
  const bytes = kind === 'command' ? COMMAND_BYTES : undefined;
  const made = new Map<string, CopiedVolumes>();
  for (const node of lab.nodes) {
    const [send, receive] = [await lab.addVolume(`send-${node}`, bytes), await lab.addVolume(`receive-${node}`, bytes)];
    await lab.format(send.path);
    made.set(node, { send: send.path, receive: receive.path, sendFile: send.file, receiveFile: receive.file });
  }
  for (const [node, { send }] of made) {
    const others = [...made].filter(([name]) => name !== node);
    const receive = Object.fromEntries(others.map(([name, { receive }]) => [name, receive]));
    lab.useVolumes(node, kind === 'mirror' ? { send, receive, mirror: links(lab, node) } : { send, receive });
  }
  if (kind === 'mirror') await lab.network.linkStorage(lab.nodes[0] ?? '', lab.nodes[1] ?? '');
  return made;
}

/** Two storage systems, one at each node, joined by a link of their own. */
function links(lab: Lab, node: string): Readonly<Record<string, Overrides>> {
  const at = (name: string): string => `${lab.network.storageAddress(name)}:${MIRROR_PORT}`;
  const others = lab.nodes.filter((name) => name !== node);
  const journal = (peer: string) => ({ path: lab.fileBeside(`journal-${node}-from-${peer}`), size: '32M' });
  return Object.fromEntries(
    others.map((peer) => [peer, { connect: at(peer), listen: at(node), journal: journal(peer) }]),
  );
}

/** Of a node's settings, what makes its agent copy. */
export function copySettings(lab: Lab, node: string, kind: LabCopy, { receive }: CopiedVolumes): Overrides {
  if (kind === 'local') return { storage: { copy: kind, local: { volume: receive } } };
  if (kind === 'mirror') {
    const journal = { path: lab.fileBeside(`journal-${node}-send`), size: '32M' };
    return { storage: { copy: kind, mirror: { journal } } };
  }
  return { storage: { copy: kind, command: { run: [DD, receive], intervalMs: COMMAND_INTERVAL_MS } } };
}
