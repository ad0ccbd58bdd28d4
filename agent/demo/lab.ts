/**
 * A cluster on one host for demo, bench and the system tests: nodes as network namespaces, a switch between them that
 * can be cut, a volume they share, and the real agent on each.
 *
 * What a lab makes is gone after `close`, at the end of the process, after SIGINT, SIGTERM and SIGHUP, and, when the
 * process was killed outright, at the next `Lab.create` on this host (`lab-state.ts` tells how).
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AgentError, assert } from '../base/errors.ts';
import { ask } from '../control-client.ts';
import { type AgentStatus, askStatus } from './control-client.ts';
import { LabNetwork, type SilentCut } from './lab-network.ts';
import { CLUSTER, type LabNode, type NodeVolumes, type Overrides, settingsPath, socketPath } from './lab-settings.ts';
import { vnicAddress, vnicAddress6, writeNodeSettings } from './lab-settings.ts';
import { type LabState, createLabState, removeLab, removeLeftovers, volumeFile } from './lab-state.ts';
import { type LabVolume, chooseVolumeDirectory, createVolume } from './lab-volume.ts';
import { type CommandOptions, type CommandResult, TOOL_PATH, run } from './shell.ts';

const VOLUME_BYTES = 64 * 1024 * 1024;
const READY_TIMEOUT_MS = 60_000;
const READY_POLL_MS = 100;
const STOP_TIMEOUT_MS = 30_000;
const LOG_TAIL_BYTES = 16_384;

/** The compiled program, also when this file runs from its source (in tests): Node 20 starts no `.ts`. */
const compiled = new URL(import.meta.url.endsWith('.ts') ? '../../dist/agent/' : '../', import.meta.url);
export const CLI_PATH: string = fileURLToPath(new URL('cli.js', compiled));
export const CROWD_PATH: string = fileURLToPath(new URL('bench/crowd-entry.js', compiled));
export const TRAFFIC_PATH: string = fileURLToPath(new URL('demo/traffic-entry.js', compiled));

export interface LabOptions {
  readonly nodes: readonly string[];
  readonly volumeBytes?: number;
  readonly sectorBytes?: 512 | 4096;
  readonly volumeDirectory?: string;
  /** Hosts on the same network without an agent. */
  readonly guests?: readonly string[];
  /** Shows up in the names of everything the lab makes. */
  readonly tag?: string;
  /** False: no primary network at all, agents with `mode: none`. */
  readonly withPrimary?: boolean;
  /** Laid over the settings of every node, below what its own start says. */
  readonly settings?: Overrides;
  /** False when the caller ends the process itself on SIGINT, SIGTERM and SIGHUP. */
  readonly handleSignals?: boolean;
}

interface Agent {
  readonly child: ChildProcess;
  log: string;
  /** Set when the process has ended: its status, or the signal's name. */
  ended: number | string | null;
}

export class Lab {
  readonly nodes: readonly string[];
  readonly network: LabNetwork;
  /** The volume all nodes share. */
  readonly volume: LabVolume;
  readonly #state: LabState;
  readonly #options: LabOptions;
  readonly #keyHex: string = randomBytes(32).toString('hex');
  readonly #agents = new Map<string, Agent>();
  readonly #children = new Set<ChildProcess>();
  readonly #volumes = new Map<string, NodeVolumes>();

  private constructor(options: LabOptions, state: LabState, network: LabNetwork, volume: LabVolume) {
    this.nodes = options.nodes;
    this.network = network;
    this.volume = volume;
    this.#state = state;
    this.#options = options;
  }

  /** Makes the network and the volume; agents are started by the caller. */
  static async create(options: LabOptions): Promise<Lab> {
    const hosts = [...options.nodes, ...(options.guests ?? [])];
    for (const node of hosts) assert(/^[a-z][a-z0-9]{0,15}$/.test(node), `node name ${node} is a plain word`);
    removeLeftovers();
    const bytes = options.volumeBytes ?? VOLUME_BYTES;
    const state = createLabState(options.volumeDirectory ?? chooseVolumeDirectory(bytes), options.tag ?? '');
    openLabs.add(state);
    watchForTheEnd(options.handleSignals ?? true);
    try {
      const network = await LabNetwork.create(state, hosts, options.withPrimary ?? true);
      const volume = await createVolume(state, 'shared', { bytes, sectorBytes: options.sectorBytes ?? 512 });
      return new Lab(options, state, network, volume);
    } catch (error) {
      closeState(state);
      throw error;
    }
  }

  get id(): string {
    return this.#state.id;
  }

  /** The lab's own directory: settings, keys, control sockets. Removed with the lab. */
  get directory(): string {
    return this.#state.directory;
  }

  /** Another volume, for copies. It goes with the lab. */
  async addVolume(name: string, bytes: number = this.#options.volumeBytes ?? VOLUME_BYTES): Promise<LabVolume> {
    return createVolume(this.#state, name, { bytes, sectorBytes: this.#options.sectorBytes ?? 512 });
  }

  /** A name for a file beside the volumes, which goes with the lab. */
  fileBeside(name: string): string {
    return volumeFile(this.#state, name);
  }

  /** Where this node writes and reads from its next start on, instead of the shared volume. */
  useVolumes(node: string, volumes: NodeVolumes): void {
    this.#volumes.set(node, volumes);
  }

  async cut(kind: 'silent', which?: SilentCut): Promise<void>;
  async cut(kind: 'carrier', node?: string): Promise<void>;
  async cut(kind: 'silent' | 'carrier', which?: SilentCut | string): Promise<void> {
    if (kind === 'silent') await this.network.cutSilently(which as SilentCut | undefined);
    else await this.network.cutCarrier(which as string | undefined);
  }

  /** Takes back every cut. */
  async heal(): Promise<void> {
    await this.network.heal();
  }

  vnicAddress(node: string, family: 4 | 6 = 4): string {
    const index = this.nodes.indexOf(node);
    return family === 4 ? vnicAddress(index) : vnicAddress6(index);
  }

  /** Runs a program in the node's namespace to its end. */
  async exec(node: string, argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return run(this.#inside(node, argv), options);
  }

  /** Starts a program in the node's namespace. The child's pid is the program's own. */
  spawn(node: string, argv: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const [file = '', ...rest] = this.#inside(node, argv);
    // A process group of its own: Ctrl-C in a terminal is for the owner of the lab, who ends the rest in good order.
    const child = spawn(file, rest, { env: { ...process.env, PATH: TOOL_PATH }, detached: true, ...options });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    return child;
  }

  /** Runs a `stillbeat` command in the node's namespace. */
  async stillbeat(node: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.exec(node, [process.execPath, CLI_PATH, ...args], options);
  }

  writeSettings(node: string, overrides: Overrides = {}): string {
    const nodes = this.nodes.map((name, index) => this.#node(name, index));
    const own = nodes.find((candidate) => candidate.name === node);
    assert(own !== undefined, `the lab has a node ${node}`);
    const volumes = this.#volumes.get(node) ?? {};
    const files = { directory: this.directory, keyHex: this.#keyHex, volume: this.volume.path, volumes };
    return writeNodeSettings(files, nodes, own, this.#options.settings ?? {}, overrides);
  }

  settingsPath(node: string): string {
    return settingsPath(this.directory, node);
  }

  socketPath(node: string): string {
    return socketPath(this.directory, node);
  }

  async format(volume: string = this.volume.path, extra: readonly string[] = []): Promise<void> {
    // No free slots: figures of the ring shall not depend on how many there would be.
    const slots = ['--slots', String(this.nodes.length)];
    const args = ['format', volume, '--cluster', CLUSTER, '--nodes', this.nodes.join(','), ...slots, ...extra];
    const { status, stderr } = await run([process.execPath, CLI_PATH, ...args]);
    if (status !== 0) throw new AgentError('volume', stderr.trim() || `stillbeat format ended with ${status}`);
  }

  /**
   * Writes the node's settings, starts its agent and waits until `status` answers. `through`: a command that runs the
   * agent's as its child, such as one that enters a room; then `agentPid` and `stopAgent` mean that command.
   */
  async startAgent(node: string, overrides: Overrides = {}, through: readonly string[] = []): Promise<void> {
    const running = this.#agents.get(node);
    assert(running === undefined || running.ended !== null, `no agent runs on ${node} yet`);
    const config = this.writeSettings(node, overrides);
    const child = this.spawn(node, [...through, process.execPath, CLI_PATH, 'run', '--config', config], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const agent: Agent = { child, log: '', ended: null };
    this.#agents.set(node, agent);
    const keep = (piece: Buffer): void => {
      agent.log = (agent.log + piece.toString()).slice(-LOG_TAIL_BYTES);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('error', (error) => (agent.ended = error.message));
    child.once('exit', (status, signal) => (agent.ended = status ?? signal));
    await this.#untilReady(node, agent, config);
  }

  /** Ends the node's agent and waits for it; answers its exit status, or the signal that ended it. */
  async stopAgent(node: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string | null> {
    const agent = this.#agents.get(node);
    if (agent === undefined) return null;
    if (agent.ended === null) {
      agent.child.kill(signal);
      const ended = once(agent.child, 'exit', { signal: AbortSignal.timeout(STOP_TIMEOUT_MS) });
      await ended.catch(() => {
        agent.child.kill('SIGKILL');
        throw new AgentError('failed', `the agent of ${node} did not end within ${STOP_TIMEOUT_MS} ms of ${signal}`);
      });
    }
    this.#agents.delete(node);
    return agent.ended;
  }

  /** The running agent's pid. */
  agentPid(node: string): number {
    const agent = this.#agents.get(node);
    assert(agent?.child.pid !== undefined && agent.ended === null, `an agent runs on ${node}`);
    return agent.child.pid;
  }

  /** What the node's agent ended with, without having been stopped; null while it runs. */
  agentEnded(node: string): number | string | null {
    return this.#agents.get(node)?.ended ?? null;
  }

  /** The last of what the node's agent printed. */
  agentLog(node: string): string {
    return this.#agents.get(node)?.log ?? '';
  }

  async status(node: string): Promise<AgentStatus> {
    return askStatus(this.socketPath(node));
  }

  /** Any request on the control socket. */
  async ask(node: string, request: Readonly<Record<string, unknown>>): Promise<unknown> {
    return ask(this.socketPath(node), request);
  }

  /** Ends every process in the lab and removes everything it made. Idempotent. */
  async close(): Promise<void> {
    const ending = [...this.#children].map(async (child) => once(child, 'exit').catch(() => {}));
    closeState(this.#state);
    await Promise.race([Promise.all(ending), delay(STOP_TIMEOUT_MS, undefined, { ref: false })]);
    this.#agents.clear();
  }

  #node(name: string, index: number): LabNode {
    const primary = this.#options.withPrimary === false ? null : this.network.address(name);
    return { name, index, primary };
  }

  #inside(node: string, argv: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.network.namespace(node), ...argv];
  }

  async #untilReady(node: string, agent: Agent, config: string): Promise<void> {
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (performance.now() < deadline && agent.ended === null) {
      // The socket is the cheap question; the command is the one an operator asks.
      const answers = await this.status(node).then(
        () => true,
        () => false,
      );
      const command = [process.execPath, CLI_PATH, 'status', '--json', '--config', config];
      if (answers && (await run(command)).status === 0) return;
      await delay(READY_POLL_MS);
    }
    const why = agent.ended === null ? `not ready in ${READY_TIMEOUT_MS / 1000} s` : `ended (${agent.ended})`;
    await this.stopAgent(node, 'SIGKILL');
    throw new AgentError('failed', `agent of ${node}: ${why}; its last words: ${lastWords(agent.log)}`);
  }
}

function lastWords(log: string): string {
  return log.trim().split('\n').slice(-3).join(' / ') || 'none';
}

const openLabs = new Set<LabState>();
let exitWatched = false;
let signalsWatched = false;

function closeState(state: LabState): void {
  if (!openLabs.delete(state)) return;
  removeLab(state);
}

function watchForTheEnd(signals: boolean): void {
  if (!exitWatched) process.on('exit', () => openLabs.forEach(closeState));
  exitWatched = true;
  if (!signals || signalsWatched) return;
  signalsWatched = true;
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  for (const [name, number] of Object.entries(numbers)) {
    process.once(name, () => {
      openLabs.forEach(closeState);
      process.exit(128 + number);
    });
  }
}
