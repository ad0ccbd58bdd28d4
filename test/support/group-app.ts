/** An application on a node of a lab that sends to groups and hears them: see `system/fixtures/groups.mjs`. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Lab } from '../../agent/demo/lab.ts';
import { eventually, SOON_MS } from './cluster.ts';

const FIXTURE = fileURLToPath(new URL('../system/fixtures/groups.mjs', import.meta.url));

/** Everybody on the virtual network: the subnet's broadcast, the link's, and groups of the three kinds. */
export const TO_ALL = ['10.77.0.255', '255.255.255.255', '224.0.0.77', '239.1.2.3', 'ff02::5b%sb0'] as const;

interface Heard {
  readonly from?: string;
  readonly text?: string;
  readonly ready?: boolean;
  readonly error?: string;
}

export class GroupApp {
  readonly heard: Heard[] = [];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    if (child.stdout) createInterface(child.stdout).on('line', (line) => this.heard.push(JSON.parse(line) as Heard));
  }

  /** `port` says by which type the agent sends it. */
  static async start(lab: Lab, node: string, port: number): Promise<GroupApp> {
    const addresses = [lab.vnicAddress(node), lab.vnicAddress(node, 6)];
    const argv = [process.execPath, FIXTURE, ...addresses, 'sb0', String(port)];
    const app = new GroupApp(lab.spawn(node, argv, { stdio: ['pipe', 'pipe', 'inherit'] }));
    await eventually(`the application on ${node} listens`, SOON_MS, () => app.heard.some(({ ready }) => ready));
    return app;
  }

  send(to: string, text: string): void {
    this.#child.stdin?.write(`${JSON.stringify({ to, text })}\n`);
  }

  /** The senders of this text, as often as it was heard. */
  sendersOf(text: string): string[] {
    return this.heard.filter((heard) => heard.text === text).map(({ from }) => from ?? '');
  }

  get errors(): string[] {
    return this.heard.flatMap(({ error }) => error ?? []);
  }

  stop(): void {
    this.#child.stdin?.end();
  }
}
