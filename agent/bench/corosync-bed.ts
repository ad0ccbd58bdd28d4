/**
 * A cluster of three nodes with real corosync and Pacemaker, unmodified: a lab, an agent on each node (or none, for
 * comparison), a room for each node's daemons, and one resource that may run on one node only.
 *
 * Where the resource runs is what the resource itself shows, the file that it keeps while it runs, and not what
 * Pacemaker believes: twice at a time is seen at once.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { AgentError } from '../base/errors.ts';
import { Lab } from '../demo/lab.ts';
import { tool } from '../demo/shell.ts';
import { systemClock } from '../platform/clock.ts';
import type { Variant } from './corosync-conf.ts';
import { type CorosyncEvent, corosyncEvents } from './corosync-events.ts';
import { NodeRoom } from './node-room.ts';

const NODES = ['a', 'b', 'c'];
/** In the lab's own: the files that an operator copies to each node. */
const DIRECTORY = 'corosync';
const LOG = '/var/log/corosync/corosync.log';
const RESOURCE = 'probe';
const RESOURCE_FILE = `/run/Dummy-${RESOURCE}.state`;
/** For what hangs: five such clusters that start side by side on two busy processors take over a minute. */
const FORM_MS_MAX = 180_000;
const LOOK_MS = 100;
/** Between two attempts to give Pacemaker its resource. */
const AGAIN_MS = 5000;

/**
 * A node that starts waits so long for a DC (the node that decides) before it calls an election: 20 s by default, in
 * which a bed of three nodes that all start would do nothing.
 */
const FIRST_CIB = `<cib crm_feature_set="3.0.14" validate-with="pacemaker-3.0" admin_epoch="0" epoch="1" num_updates="0">
  <configuration>
    <crm_config><cluster_property_set id="cib-bootstrap-options">
      <nvpair id="cib-bootstrap-options-dc-deadtime" name="dc-deadtime" value="2s"/>
    </cluster_property_set></crm_config>
    <nodes/><resources/><constraints/>
  </configuration>
  <status/>
</cib>
`;
const CIB_FILE = '/var/lib/pacemaker/cib/cib.xml';

/** Loses nothing of its home node: it would come back there, so any move of it is seen. */
const RESOURCES = `<primitive id="${RESOURCE}" class="ocf" provider="pacemaker" type="Dummy">
  <operations><op id="${RESOURCE}-monitor" name="monitor" interval="10s" timeout="60s"/></operations>
</primitive>`;
const HOME = `<rsc_location id="${RESOURCE}-home" rsc="${RESOURCE}" node="c" score="100"/>`;

export interface NodeEvent extends CorosyncEvent {
  readonly node: string;
}

export interface Whereabouts {
  readonly atMs: number;
  /** The nodes on which the resource runs. */
  readonly nodes: readonly string[];
}

export interface BedOptions {
  readonly tag?: string;
  readonly withPacemaker?: boolean;
  /**
   * The agents run in the rooms, as on a machine beside the daemons: what they start (hooks) can speak to Pacemaker, and
   * their `corosync.conf` is the room's own. Each room is given to this function before anything is started in it.
   */
  readonly furnish?: (room: NodeRoom) => Promise<void>;
}

let starting: Promise<void> = Promise.resolve();

export class CorosyncBed {
  readonly variant: Variant;
  readonly lab: Lab;
  /** Each change of where the resource runs, the first entry being where it was at first. */
  readonly whereabouts: Whereabouts[] = [];
  readonly #rooms: NodeRoom[] = [];
  readonly #options: BedOptions;
  #watching: Promise<void> | null = null;
  #closed = false;

  private constructor(variant: Variant, lab: Lab, options: BedOptions) {
    this.variant = variant;
    this.lab = lab;
    this.#options = options;
  }

  /** Answers when three members have formed and, with Pacemaker, the resource runs on node c. */
  static async open(variant: Variant, options: BedOptions = {}): Promise<CorosyncBed> {
    const { tag = 'corosync', withPacemaker = true } = options;
    const lab = await Lab.create({ nodes: NODES, tag, volumeBytes: 48 << 20 });
    const bed = new CorosyncBed(variant, lab, options);
    try {
      await bed.#startCorosync();
      if (withPacemaker) await bed.#startPacemaker();
      return bed;
    } catch (error) {
      await bed.close();
      throw error;
    }
  }

  get nodes(): readonly string[] {
    return NODES;
  }

  /** All events of all nodes since a moment, oldest first. */
  events(sinceMs = 0): NodeEvent[] {
    const year = new Date(systemClock.wallMs()).getUTCFullYear();
    return this.#rooms
      .flatMap((room) => {
        const events = corosyncEvents(readFileSync(room.path(LOG), 'utf8'), year);
        return events.map((event) => ({ node: room.node, ...event }));
      })
      .filter(({ atMs }) => atMs >= sinceMs)
      .toSorted((one, other) => one.atMs - other.atMs);
  }

  /** Runs a program in the node's room. */
  async exec(node: string, argv: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.#room(node).exec(argv, { timeoutMs: FORM_MS_MAX });
    if (status !== 0) throw new AgentError('failed', `${argv.join(' ')} on ${node}: ${stderr.trim() || stdout.trim()}`);
    return stdout;
  }

  /** Starts the node's agent, in its room where the agents run there. */
  async startAgent(node: string): Promise<void> {
    const { lab, variant } = this;
    if (this.#options.furnish) return lab.startAgent(node, variant.agent ?? {}, this.#room(node).enter);
    const conf = join(lab.directory, DIRECTORY, 'corosync.conf');
    return lab.startAgent(node, { ...variant.agent, corosync: { conf } });
  }

  /** Three members on each node, every link up, and the agents all on the network where they use one. */
  async isWhole(): Promise<boolean> {
    const events = this.events();
    const linksUp = new Map<string, boolean>();
    const members = new Map<string, number>();
    for (const { node, kind, link, count } of events) {
      if (kind === 'link-up' || kind === 'link-down') linksUp.set(`${node}-${link}`, kind === 'link-up');
      if (kind === 'members') members.set(node, count ?? 0);
    }
    if (NODES.some((node) => members.get(node) !== NODES.length) || [...linksUp.values()].includes(false)) return false;
    return this.variant.agent === null || this.#agentsReady();
  }

  /** How many peers the nodes reach by storage now, all nodes together; null without agents. */
  async peersByStorage(): Promise<number | null> {
    if (this.variant.agent === null) return null;
    const all = await Promise.all(NODES.map(async (node) => this.lab.status(node)));
    return all.flatMap(({ peers }) => peers.filter(({ path }) => path === 'storage')).length;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#watching;
    await Promise.all(this.#rooms.map(async (room) => room.close()));
    await this.lab.close();
  }

  async #startCorosync(): Promise<void> {
    const { lab, variant } = this;
    const directory = await writeFiles(lab, variant);
    for (const node of NODES) this.#rooms.push(await NodeRoom.open(lab, node, directory));
    for (const room of this.#rooms) await this.#options.furnish?.(room);
    // Beds side by side take turns: a dozen agents that start at once keep each other from getting ready.
    const turn = starting.then(async () => this.#startAgents());
    starting = turn.catch(() => {});
    await turn;
    for (const room of this.#rooms) room.spawn(['corosync', '-f'], '/var/log/corosync/console.log');
    await this.#until('three members form', async () => this.isWhole());
  }

  async #startPacemaker(): Promise<void> {
    const seed = `cat >${CIB_FILE} && chown hacluster:haclient ${CIB_FILE} && chmod 600 ${CIB_FILE}`;
    for (const room of this.#rooms) {
      await room.exec(['sh', '-c', seed], { input: FIRST_CIB });
      room.spawn(['pacemakerd'], '/var/log/pacemaker/console.log');
    }
    await this.#until('Pacemaker takes a resource', async () => this.#addResource());
    // A node that takes it before the others are there may see it replaced by what they agree on: it is given again.
    let givenMs = systemClock.monotonicMs();
    await this.#until('the resource runs on c', async () => {
      if (this.#runsOn().join() === 'c') return true;
      if (systemClock.monotonicMs() - givenMs < AGAIN_MS) return false;
      await this.#addResource();
      givenMs = systemClock.monotonicMs();
      return false;
    });
    this.#watching = this.#watch();
  }

  async #startAgents(): Promise<void> {
    if (this.variant.agent === null) return;
    await this.lab.format();
    await Promise.all(NODES.map(async (node) => this.startAgent(node)));
    await this.#until('the agents are in touch', async () => this.#agentsReady());
  }

  async #agentsReady(): Promise<boolean> {
    const wanted = this.variant.linksStay ? 'network' : 'storage';
    const all = await Promise.all(NODES.map(async (node) => this.lab.status(node)));
    return all.every(({ peers }) => peers.length === NODES.length - 1 && peers.every(({ path }) => path === wanted));
  }

  async #addResource(): Promise<boolean> {
    const [room] = this.#rooms;
    if (room === undefined) return false;
    const set = async (...argv: string[]) => (await room.exec(argv)).status === 0;
    return (
      (await set('crm_attribute', '--name', 'stonith-enabled', '--update', 'false')) &&
      (await set('cibadmin', '--modify', '--allow-create', '--scope', 'resources', '--xml-text', RESOURCES)) &&
      set('cibadmin', '--modify', '--allow-create', '--scope', 'constraints', '--xml-text', HOME)
    );
  }

  #runsOn(): string[] {
    return this.#rooms.filter((room) => existsSync(room.path(RESOURCE_FILE))).map(({ node }) => node);
  }

  async #watch(): Promise<void> {
    while (!this.#closed) {
      const nodes = this.#runsOn();
      if (nodes.join() !== this.whereabouts.at(-1)?.nodes.join()) {
        this.whereabouts.push({ atMs: systemClock.wallMs(), nodes });
      }
      await delay(LOOK_MS);
    }
  }

  async #until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const deadline = systemClock.monotonicMs() + FORM_MS_MAX;
    while (!(await condition().catch(() => false))) {
      if (systemClock.monotonicMs() > deadline) {
        throw new AgentError('failed', `${this.variant.name}: not within ${FORM_MS_MAX / 1000} s: ${what}`);
      }
      await delay(LOOK_MS);
    }
  }

  #room(node: string): NodeRoom {
    const room = this.#rooms.find((candidate) => candidate.node === node);
    if (room === undefined) throw new AgentError('failed', `there is no room for ${node}`);
    return room;
  }
}

/** The files that an operator copies to each node: they are the same on all. */
async function writeFiles(lab: Lab, variant: Variant): Promise<string> {
  const directory = join(lab.directory, DIRECTORY);
  mkdirSync(directory);
  writeFileSync(join(directory, 'corosync.conf'), variant.conf);
  await tool(['corosync-keygen', '-l', '-k', join(directory, 'authkey')]);
  const names = NODES.map((node) => `${lab.network.address(node)} ${node}\n`).join('');
  writeFileSync(join(directory, 'hosts'), `127.0.0.1 localhost\n${names}`);
  return directory;
}
