/**
 * The lab's primary network: a namespace for each node and one for the switch, a bridge that every node has a port on.
 *
 *      node a            switch             node b
 *    +--------+      +-------------+      +--------+
 *    |  eth0 ========= port1  port2 ========= eth0 |      192.168.50.(index + 1)/24
 *    +--------+      |     br0     |      +--------+
 *                    +-------------+
 *
 * A silent cut drops packets in the switch: the nodes see nothing of it, as with a broken switch. (Dropping a node's
 * own output would make its `sendto` fail, which no real cut does.) A carrier cut takes the switch's port down: the
 * node's interface loses its carrier. All cuts are one atomic rule set, rewritten at each change.
 */
import { assert } from '../base/errors.ts';
import { type LabState, namespaceName } from './lab-state.ts';
import { tool } from './shell.ts';

const SWITCH = 'switch';

/** Which packets a silent cut takes: all, those of one direction, or those between two nodes. */
export type SilentCut =
  { readonly from: string; readonly to: string } | { readonly between: readonly [string, string] };

export class LabNetwork {
  readonly nodes: readonly string[];
  readonly #state: LabState;
  readonly #drops = new Set<string>();
  readonly #carrierless = new Set<string>();

  private constructor(state: LabState, nodes: readonly string[]) {
    this.#state = state;
    this.nodes = nodes;
  }

  static async create(state: LabState, nodes: readonly string[], withPrimary: boolean): Promise<LabNetwork> {
    const network = new LabNetwork(state, nodes);
    const names = withPrimary ? [...nodes, SWITCH] : nodes;
    await tool(['ip', '-batch', '-'], {
      input: names.map((name) => `netns add ${network.namespace(name)}\n`).join(''),
    });
    for (const name of names) await network.#ip(name, ['link set lo up']);
    if (withPrimary) await network.#connect();
    return network;
  }

  namespace(node: string): string {
    return namespaceName(this.#state, node);
  }

  address(node: string): string {
    return `192.168.50.${this.#index(node) + 1}`;
  }

  /** A node's address on the storage link. */
  storageAddress(node: string): string {
    return `192.168.60.${this.#index(node) + 1}`;
  }

  /** A link of its own between two nodes, past the switch: no cut of the primary network takes it. */
  async linkStorage(one: string, other: string): Promise<void> {
    const peer = `type veth peer name san0 netns ${this.namespace(other)}`;
    await this.#ip(one, [`link add san0 ${peer}`]);
    for (const node of [one, other]) {
      await this.#ip(node, [`addr add ${this.storageAddress(node)}/24 dev san0`, 'link set san0 up']);
    }
  }

  async cutSilently(which?: SilentCut): Promise<void> {
    for (const rule of this.#rules(which)) this.#drops.add(rule);
    await this.#apply();
  }

  async cutCarrier(node?: string): Promise<void> {
    const names = node === undefined ? this.nodes : [node];
    for (const name of names) this.#carrierless.add(name);
    // One process for all: a switch that loses its power takes every port down at once.
    await this.#ip(
      SWITCH,
      names.map((name) => `link set ${this.#port(name)} down`),
    );
  }

  /** Takes back every cut. */
  async heal(): Promise<void> {
    this.#drops.clear();
    await this.#apply();
    for (const name of this.#carrierless) await this.#ip(SWITCH, [`link set ${this.#port(name)} up`]);
    this.#carrierless.clear();
  }

  async #connect(): Promise<void> {
    // No forward delay and no snooping: the bridge carries traffic from its first moment, as a settled switch does.
    await this.#ip(SWITCH, [
      'link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
      'link set br0 up',
      ...this.nodes.map(
        (node) => `link add ${this.#port(node)} type veth peer name eth0 netns ${this.namespace(node)}`,
      ),
      ...this.nodes.map((node) => `link set ${this.#port(node)} master br0 up`),
    ]);
    for (const node of this.nodes) {
      await this.#ip(node, [`addr add ${this.address(node)}/24 dev eth0`, 'link set eth0 up']);
    }
    await this.#apply();
  }

  #rules(which?: SilentCut): string[] {
    if (which === undefined) return ['drop'];
    const pairs = 'from' in which ? [[which.from, which.to]] : [which.between, which.between.toReversed()];
    return pairs.map(([from = '', to = '']) => `iifname "${this.#port(from)}" oifname "${this.#port(to)}" drop`);
  }

  async #apply(): Promise<void> {
    const rules = [...this.#drops].map((rule) => `    ${rule}\n`).join('');
    const table = `table bridge cuts {\n  chain forwarded {\n    type filter hook forward priority 0;\n${rules}  }\n}\n`;
    // Declaring before deleting makes the deletion succeed the first time too; nft applies the file as one change.
    const input = `table bridge cuts\ndelete table bridge cuts\n${table}`;
    await tool(['ip', 'netns', 'exec', this.namespace(SWITCH), 'nft', '-f', '-'], { input });
  }

  async #ip(name: string, commands: readonly string[]): Promise<void> {
    await tool(['ip', '-n', this.namespace(name), '-batch', '-'], { input: `${commands.join('\n')}\n` });
  }

  #port(node: string): string {
    return `port${this.#index(node) + 1}`;
  }

  #index(node: string): number {
    const index = this.nodes.indexOf(node);
    assert(index >= 0, `the lab has a node ${node}`);
    return index;
  }
}
