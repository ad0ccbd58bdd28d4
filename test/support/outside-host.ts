/**
 * A host outside the cluster in the lab: a guest on the lab's network that is the next router of all nodes, with
 * addresses of its own behind that, and a web server on them which tells who asked.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Lab } from '../../agent/demo/lab.ts';
import { tool } from '../../agent/demo/shell.ts';
import { eventually, SOON_MS } from './cluster.ts';

export const GUEST = 'outside';
export const OUTSIDE = '198.51.100.9';
export const OUTSIDE_6 = '2001:db8::9';
const SERVER = fileURLToPath(new URL('../system/fixtures/outside-server.mjs', import.meta.url));

interface Line {
  readonly url?: string;
  readonly from?: string;
  readonly done?: string;
  readonly hash?: string;
  readonly listening?: string;
}

export class OutsideHost {
  readonly lines: Line[] = [];
  readonly #lab: Lab;
  #server: ChildProcess | null = null;

  constructor(lab: Lab) {
    this.#lab = lab;
  }

  /** IPv6 addresses on the network, routes of all nodes by way of the guest, and the server. */
  async open(): Promise<void> {
    const hosts = [...this.#lab.nodes, GUEST];
    for (const [index, host] of hosts.entries()) {
      const address = `fd50::${index + 1}/64`;
      await this.#ip(host, ['-6', 'address', 'add', address, 'dev', 'eth0', 'nodad']);
    }
    await this.#ip(GUEST, ['address', 'add', `${OUTSIDE}/32`, 'dev', 'lo']);
    await this.#ip(GUEST, ['-6', 'address', 'add', `${OUTSIDE_6}/128`, 'dev', 'lo']);
    for (const node of this.#lab.nodes) await this.route(node);
    this.#server = this.#lab.spawn(GUEST, [process.execPath, SERVER, OUTSIDE, OUTSIDE_6], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let rest = '';
    this.#server.stdout?.on('data', (piece: Buffer) => {
      const pieces = (rest + piece.toString()).split('\n');
      rest = pieces.pop() ?? '';
      for (const line of pieces) this.lines.push(JSON.parse(line) as Line);
    });
    await eventually('the server listens', SOON_MS, () => this.lines.filter((line) => line.listening).length === 2);
  }

  /** The default routes of a node, as its administrator has set them. */
  async route(node: string): Promise<void> {
    const index = this.#lab.nodes.length + 1;
    await this.#ip(node, ['route', 'replace', 'default', 'via', `192.168.50.${index}`, 'dev', 'eth0']);
    await this.#ip(node, ['-6', 'route', 'replace', 'default', 'via', `fd50::${index}`, 'dev', 'eth0']);
  }

  /** Cuts a node from everybody on the network, the guest included, without a lost carrier. */
  async isolate(node: string): Promise<void> {
    for (const other of [...this.#lab.nodes, GUEST]) {
      if (other !== node) await this.#lab.cut('silent', { between: [node, other] });
    }
  }

  /** Who asked for this, as the server saw it. */
  askers(url: string): string[] {
    return this.lines.flatMap((line) => (line.url === url ? (line.from ?? '') : []));
  }

  /** Asks for a page of its own, and answers from where the server saw it come; null when it did not arrive. */
  async seenFrom(node: string, options: readonly string[] = [], host: string = OUTSIDE): Promise<string | null> {
    const url = `/asked/${this.lines.length}-${Math.round(performance.now())}`;
    const argv = [
      'curl',
      '--silent',
      '--max-time',
      '2',
      ...options,
      `http://${host.includes(':') ? `[${host}]` : host}${url}`,
    ];
    const { status } = await this.#lab.exec(node, argv);
    return status === 0 ? (this.askers(url)[0] ?? null) : null;
  }

  /** Some megabytes in each direction, as fast as they go: whether they arrived whole. */
  async transfers(node: string): Promise<{ down: boolean; up: boolean }> {
    const file = `${this.#lab.directory}/transfer`;
    const curl = ['curl', '--silent', '--show-error', '--max-time', '30'];
    await this.#lab.exec(node, [...curl, '--output', file, `http://${OUTSIDE}/large`], { timeoutMs: 40_000 });
    const hash = createHash('sha256').update(readFileSync(file)).digest('hex');
    const { stdout } = await this.#lab.exec(node, [...curl, '--upload-file', file, `http://${OUTSIDE}/upload`], {
      timeoutMs: 40_000,
    });
    const sent = await this.hashOf('/large');
    return { down: hash === sent, up: stdout === hash };
  }

  /** A download that lasts until `endDownloads`. */
  download(node: string, url: string, options: readonly string[] = []): Download {
    const file = `${this.#lab.directory}/download-${url.replaceAll('/', '-')}`;
    const argv = ['curl', '--silent', '--show-error', '--no-buffer', ...options, '--output', file];
    const child = this.#lab.spawn(node, [...argv, `http://${OUTSIDE}${url}`], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return new Download(child, file, url, this);
  }

  /** Of what the server has sent for a URL; its word may come later than the client's end. */
  async hashOf(url: string): Promise<string | undefined> {
    const done = (): Line | undefined => this.lines.find((line) => line.done === url);
    await eventually(`the server says what it has sent for ${url}`, SOON_MS, () => done() !== undefined);
    return done()?.hash;
  }

  endDownloads(): void {
    this.#server?.stdin?.write('end\n');
  }

  async #ip(host: string, args: readonly string[]): Promise<void> {
    await tool(['ip', '-n', this.#lab.network.namespace(host), ...args]);
  }
}

class Download {
  readonly #child: ChildProcess;
  readonly #file: string;
  readonly #url: string;
  readonly #outside: OutsideHost;
  readonly #ended: Promise<unknown[]>;

  constructor(child: ChildProcess, file: string, url: string, outside: OutsideHost) {
    this.#child = child;
    this.#file = file;
    this.#url = url;
    this.#outside = outside;
    this.#ended = once(child, 'exit');
  }

  get bytes(): number {
    return statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
  }

  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Until more has come than what was there at the call. */
  async grows(what: string): Promise<void> {
    const before = this.bytes;
    await eventually(`${this.#url} grows ${what}`, SOON_MS, () => this.runs && this.bytes > before + 50_000);
  }

  /** curl's status, and whether the file is what the server has sent. */
  async result(): Promise<{ status: unknown; whole: boolean }> {
    const [status] = await this.#ended;
    const sent = await this.#outside.hashOf(this.#url);
    return { status, whole: sent === createHash('sha256').update(readFileSync(this.#file)).digest('hex') };
  }
}
