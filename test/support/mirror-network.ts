/** Two network namespaces with a wire between them, for a source and a target; the wire can be made to misbehave. */
import { tool, run } from '../../agent/demo/shell.ts';
import type { MirrorPair, Side } from './mirror-pair.ts';

const ADDRESS: Readonly<Record<Side, string>> = { source: '10.99.0.1', target: '10.99.0.2' };
const PORT = 7790;
let made = 0;

export class MirrorNetwork {
  readonly #names: Readonly<Record<Side, string>>;

  private constructor(names: Readonly<Record<Side, string>>) {
    this.#names = names;
  }

  /** Puts both sides of a pair, that do not run yet, into namespaces of their own. */
  static async around(pair: MirrorPair): Promise<MirrorNetwork> {
    const id = `sbm${process.pid}x${made++}`;
    const network = new MirrorNetwork({ source: `${id}s`, target: `${id}t` });
    for (const side of ['source', 'target'] as const) {
      await tool(['ip', 'netns', 'add', network.#names[side]]);
      pair.wrap(side, ['ip', 'netns', 'exec', network.#names[side]]);
    }
    const ends = { source: 'link0', target: 'link0' };
    await network.#in(
      'source',
      'ip',
      'link',
      'add',
      ends.source,
      'type',
      'veth',
      'peer',
      ends.target,
      'netns',
      network.#names.target,
    );
    for (const side of ['source', 'target'] as const) {
      await network.#in(side, 'ip', 'address', 'add', `${ADDRESS[side]}/24`, 'dev', 'link0');
      await network.#in(side, 'ip', 'link', 'set', 'link0', 'up');
      await network.#in(side, 'ip', 'link', 'set', 'lo', 'up');
    }
    pair.configure('source', { targets: [{ name: 'east', connect: `${ADDRESS.target}:${PORT}` }] });
    pair.configure('target', { listen: `${ADDRESS.target}:${PORT}` });
    return network;
  }

  /** `silent`: nothing passes; `deaf`: nothing from the source arrives; `mute`: nothing from the target does. */
  async cut(how: 'silent' | 'deaf' | 'mute'): Promise<void> {
    const hooks = { silent: ['input', 'output'], deaf: ['input'], mute: ['output'] }[how];
    await this.#rules(hooks.map((hook) => `chain ${hook} { type filter hook ${hook} priority 0; drop\n }`));
  }

  /** Every connection is reset at its next packet, and no new one comes about, until `heal`. */
  async reset(): Promise<void> {
    await this.#rules([`chain input { type filter hook input priority 0; tcp dport ${PORT} reject with tcp reset\n }`]);
  }

  /** So much passes from the source to the target. */
  async throttle(kilobytesPerSecond: number): Promise<void> {
    const rate = ['rate', `${kilobytesPerSecond * 8}kbit`, 'burst', '16kb', 'latency', '100ms'];
    await this.#in('source', 'tc', 'qdisc', 'replace', 'dev', 'link0', 'root', 'tbf', ...rate);
  }

  async heal(): Promise<void> {
    await run([...this.#prefix('target'), 'nft', 'flush', 'ruleset']);
    await run([...this.#prefix('source'), 'tc', 'qdisc', 'del', 'dev', 'link0', 'root']);
  }

  /** When both sides have ended. */
  async remove(): Promise<void> {
    for (const name of Object.values(this.#names)) await run(['ip', 'netns', 'delete', name]);
  }

  async #rules(chains: readonly string[]): Promise<void> {
    await tool([...this.#prefix('target'), 'nft', '-f', '-'], {
      input: `table inet faults {\n${chains.join('\n')}\n}\n`,
    });
  }

  #prefix(side: Side): string[] {
    return ['ip', 'netns', 'exec', this.#names[side]];
  }

  async #in(side: Side, ...argv: readonly string[]): Promise<void> {
    await tool([...this.#prefix(side), ...argv]);
  }
}
