/**
 * A cluster of which some nodes are real agents and the rest simulated ones in one process, on one volume: what growth
 * costs, without sixty agents on one host.
 */
import { type ChildProcess, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { CROWD_PATH, CLI_PATH, Lab } from '../demo/lab.ts';
import { CLUSTER, type LabNode, vnicAddress, writeNodeSettings } from '../demo/lab-settings.ts';
import { run } from '../demo/shell.ts';

/** What `crowd-entry.ts` is told to be. */
export interface CrowdRole {
  readonly settingsFiles: readonly string[];
  /** So many of them send heartbeats to the real nodes, `perSecond` each. */
  readonly sending: number;
  readonly perSecond: number;
}

export interface CrowdOptions {
  readonly real: readonly string[];
  /** All nodes together. */
  readonly nodes: number;
  /** True: a healthy network on the loopback device of the one real node. False: nothing but the volume. */
  readonly withNetwork: boolean;
  readonly sending?: number;
  readonly perSecond?: number;
}

const SLOT_BYTES = 4 * 1024 * 1024;
const MIB = 1024 * 1024;
const ACQUAINTED_MS_MAX = 60_000;
const PIPES: SpawnOptions = { stdio: ['pipe', 'pipe', 'inherit'] };

export class Crowd {
  readonly lab: Lab;
  readonly #child: ChildProcess | null;

  private constructor(lab: Lab, child: ChildProcess | null) {
    this.lab = lab;
    this.#child = child;
  }

  /** Answers when the real nodes and all others accept each other. */
  static async open(options: CrowdOptions): Promise<Crowd> {
    const lab = await Lab.create({
      nodes: options.real,
      volumeBytes: options.nodes * SLOT_BYTES + MIB,
      withPrimary: false,
      tag: 'crowd',
    });
    try {
      return await gather(lab, options);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#child?.stdin?.end();
    await this.lab.close();
  }

  static make(lab: Lab, child: ChildProcess | null): Crowd {
    return new Crowd(lab, child);
  }
}

async function gather(lab: Lab, options: CrowdOptions): Promise<Crowd> {
  const { real, withNetwork, sending = 0, perSecond = 1 } = options;
  const nodes = Array.from({ length: options.nodes }, (_, index) => ({
    name: real[index] ?? `s${index}`,
    index,
    primary: withNetwork ? `127.0.1.${index + 1}` : null,
  }));
  await format(
    lab,
    nodes.map(({ name }) => name),
  );
  for (const name of real) await lab.startAgent(name, overridesOf(lab, nodes, name));
  const simulated = nodes.slice(real.length);
  const settingsFiles = simulated.map((node) => settingsOf(lab, nodes, node, real));
  const role: CrowdRole = { settingsFiles, sending, perSecond };
  const child = simulated.length === 0 ? null : await start(lab, real[0] ?? '', role);
  await acquainted(lab, real, withNetwork ? 'network' : 'storage');
  return Crowd.make(lab, child);
}

async function format(lab: Lab, names: readonly string[]): Promise<void> {
  const argv = [
    process.execPath,
    CLI_PATH,
    'format',
    lab.volume.path,
    '--cluster',
    CLUSTER,
    '--nodes',
    names.join(','),
  ];
  const { status, stderr } = await run(argv);
  if (status !== 0) throw new AgentError('volume', stderr.trim() || `stillbeat format ended with ${status}`);
}

/** Settings of a real node: the lab knows its real peers only. */
function overridesOf(lab: Lab, nodes: readonly LabNode[], name: string): Record<string, unknown> {
  const own = nodes.find((node) => node.name === name) as LabNode;
  const listen =
    own.primary === null ? {} : { primary: { mode: 'tunnel', interface: 'lo', listen: `${own.primary}:7788` } };
  return { peers: nodes.filter((node) => node !== own).map((node) => peerOf(lab, node)), ...listen };
}

const peerOf = (lab: Lab, node: LabNode): Record<string, unknown> => ({
  node: node.name,
  address: vnicAddress(node.index),
  ...(node.primary === null ? {} : { primary: `${node.primary}:7788` }),
  receive: { volume: lab.volume.path },
});

/** A simulated node knows the real ones only: what the simulated say to each other is no part of any figure. */
function settingsOf(lab: Lab, nodes: readonly LabNode[], own: LabNode, real: readonly string[]): string {
  const keyHex = readFileSync(`${lab.directory}/${real[0]}.key`, 'utf8').trim();
  const known = nodes.filter((node) => node === own || real.includes(node.name));
  return writeNodeSettings({ directory: lab.directory, keyHex, volume: lab.volume.path }, known, own, {
    primary: own.primary === null ? {} : { interface: 'lo' },
  });
}

async function start(lab: Lab, node: string, role: CrowdRole): Promise<ChildProcess> {
  const child = lab.spawn(node, [process.execPath, CROWD_PATH, JSON.stringify(role)], PIPES);
  const ended = once(child, 'exit').then(() => {
    throw new AgentError('failed', 'the simulated nodes ended before they had begun');
  });
  await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ended]);
  ended.catch(() => {});
  return child;
}

interface Peers {
  readonly peers: readonly { readonly path: string; readonly acceptedByPeer: boolean }[];
}

async function acquainted(lab: Lab, real: readonly string[], path: string): Promise<void> {
  const deadline = performance.now() + ACQUAINTED_MS_MAX;
  for (const node of real) {
    for (;;) {
      const { peers } = (await lab.status(node)) as unknown as Peers;
      const missing = peers.filter((peer) => peer.path !== path || !peer.acceptedByPeer).length;
      if (missing === 0) break;
      if (performance.now() > deadline) {
        throw new AgentError('failed', `${node}: ${missing} of ${peers.length} peers did not reach path ${path}`);
      }
      await delay(200);
    }
  }
}
