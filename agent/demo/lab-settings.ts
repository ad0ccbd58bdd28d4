/** The settings document and the key of each lab node, as an operator would write them: YAML, checked by the agent. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';

export const CLUSTER = 'lab';
const TUNNEL_PORT = 7788;

/** Laid over the lab's own settings: objects key by key, everything else as a whole; null takes a key away. */
export type Overrides = { readonly [key: string]: unknown };

export interface LabNode {
  readonly name: string;
  readonly index: number;
  /** Its address on the primary network; null without one. */
  readonly primary: string | null;
}

/** The node's addresses on the virtual network. */
export const vnicAddress = (index: number): string => `10.77.0.${index + 1}`;
export const vnicAddress6 = (index: number): string => `fd77::${(index + 1).toString(16)}`;

/** Where one node writes and, peer by peer, where it reads; what is left out is the shared volume. */
export interface NodeVolumes {
  readonly send?: string;
  readonly receive?: Readonly<Record<string, string>>;
  /** By peer: the storage link to it, as the settings have it. */
  readonly mirror?: Readonly<Record<string, Overrides>>;
}

export interface SettingsFiles {
  readonly directory: string;
  readonly keyHex: string;
  /** The shared volume. */
  readonly volume: string;
  readonly volumes?: NodeVolumes;
}

export const settingsPath = (directory: string, node: string): string => join(directory, `${node}.yaml`);
export const socketPath = (directory: string, node: string): string => join(directory, `${node}.sock`);

/** Writes one node's settings, one layer over the other, and its key file; answers the settings' path. */
export function writeNodeSettings(
  files: SettingsFiles,
  nodes: readonly LabNode[],
  own: LabNode,
  ...over: readonly Overrides[]
): string {
  const keyFile = join(files.directory, `${own.name}.key`);
  // One that is there is the operator's: a test may have changed it.
  if (!existsSync(keyFile)) writeFileSync(keyFile, `${files.keyHex}\n`, { mode: 0o600 });
  const path = settingsPath(files.directory, own.name);
  writeFileSync(path, stringify(over.reduce(overlay, nodeSettings(files, nodes, own, keyFile))));
  return path;
}

function nodeSettings(files: SettingsFiles, nodes: readonly LabNode[], own: LabNode, keyFile: string): Overrides {
  const endpoint = (node: LabNode) => (node.primary === null ? {} : { primary: `${node.primary}:${TUNNEL_PORT}` });
  return {
    cluster: CLUSTER,
    node: own.name,
    keyFile,
    vnic: { name: 'sb0', address: [`${vnicAddress(own.index)}/24`, `${vnicAddress6(own.index)}/64`] },
    storage: { send: { volume: files.volumes?.send ?? files.volume }, copy: 'shared' },
    primary:
      own.primary === null
        ? { mode: 'none' }
        : { mode: 'tunnel', interface: 'eth0', listen: `${own.primary}:${TUNNEL_PORT}` },
    peers: nodes
      .filter((node) => node.name !== own.name)
      .map((node) => ({
        node: node.name,
        address: [vnicAddress(node.index), vnicAddress6(node.index)],
        ...endpoint(node),
        receive: { volume: files.volumes?.receive?.[node.name] ?? files.volume },
        ...(files.volumes?.mirror === undefined ? {} : { mirror: files.volumes.mirror[node.name] }),
      })),
    control: { socket: socketPath(files.directory, own.name) },
  };
}

function isObject(value: unknown): value is Overrides {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function overlay(base: Overrides, over: Overrides): Overrides {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    if (value === null) delete result[key];
    else result[key] = isObject(value) && isObject(below) ? overlay(below, value) : value;
  }
  return result;
}
