/** What `bench mirror` is measured beside: a daemon of rsync, a synchronous mirror of QEMU, nbdkit with a file. */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { tool } from '../demo/shell.ts';
import { systemClock } from '../platform/clock.ts';
import { BenchProcess, isThere } from './bench-process.ts';
import { freePort } from './mirror-pair.ts';
import { WireProxy } from './wire-proxy.ts';

/** A daemon that takes files into a folder. */
export class RsyncDaemon {
  readonly #process: BenchProcess;
  readonly #port: number;
  readonly folder: string;

  private constructor(child: BenchProcess, port: number, folder: string) {
    this.#process = child;
    this.#port = port;
    this.folder = folder;
  }

  static async start(folder: string): Promise<RsyncDaemon> {
    const into = join(folder, 'into');
    mkdirSync(into, { recursive: true });
    const config = join(folder, 'rsyncd.conf');
    const said = ['use chroot = no', 'read only = no', 'uid = 0', 'gid = 0', '[into]', `path = ${into}`];
    writeFileSync(config, `${said.join('\n')}\n`);
    const port = await freePort();
    const argv = ['rsync', '--daemon', '--no-detach', `--config=${config}`, `--port=${port}`, '--address=127.0.0.1'];
    return new RsyncDaemon(await BenchProcess.start(argv, async () => answers(port)), port, into);
  }

  /** Brings a file over in place, by blocks of 4096 bytes: ms, and bytes both ways where they are counted. */
  async copy(from: string, isCounted: boolean): Promise<{ readonly ms: number; readonly bytes: number }> {
    const wire = isCounted ? await WireProxy.open(this.#port) : null;
    const to = `rsync://127.0.0.1:${wire?.port ?? this.#port}/into/`;
    const beganMs = systemClock.monotonicMs();
    // -I: the same size and time is no proof.
    await tool(['rsync', '-I', '-B', '4096', '--inplace', '--no-whole-file', from, to], { timeoutMs: 120_000 });
    const ms = systemClock.monotonicMs() - beganMs;
    wire?.close();
    return { ms, bytes: wire ? wire.sentBytes + wire.receivedBytes : 0 };
  }

  async end(): Promise<void> {
    await this.#process.kill();
  }
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('data', () => socket.destroy());
  });
}

/** nbdkit with one file of its own, which is empty. */
export async function startNbdkit(folder: string, bytes: number): Promise<{ child: BenchProcess; uri: string }> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'nbdkit.img');
  writeFileSync(path, '');
  truncateSync(path, bytes);
  return serveByNbdkit(path);
}

/** nbdkit with a file that is there; its socket lies beside it. */
export async function serveByNbdkit(path: string): Promise<{ child: BenchProcess; uri: string }> {
  const socket = path.replace(/\.img$/, '.sock');
  const argv = ['nbdkit', '--foreground', '--unix', socket, 'file', path];
  return { child: await BenchProcess.start(argv, isThere(socket)), uri: `nbd+unix:///?socket=${socket}` };
}

/** QEMU's storage daemon, which mirrors a file to nbdkit: a write is answered when both have it. */
export class QemuMirror {
  readonly #processes: readonly BenchProcess[];
  readonly uri: string;

  private constructor(processes: readonly BenchProcess[], uri: string) {
    this.#processes = processes;
    this.uri = uri;
  }

  static async start(folder: string, bytes: number): Promise<QemuMirror> {
    const copy = await startNbdkit(folder, bytes);
    const at = (name: string): string => join(folder, name);
    writeFileSync(at('qemu.img'), '');
    truncateSync(at('qemu.img'), bytes);
    const argv = [
      'qemu-storage-daemon',
      '--blockdev',
      `driver=file,node-name=file,filename=${at('qemu.img')}`,
      '--blockdev',
      'driver=raw,node-name=source,file=file',
      '--blockdev',
      `driver=nbd,node-name=copy,server.type=unix,server.path=${at('nbdkit.sock')}`,
      '--nbd-server',
      `addr.type=unix,addr.path=${at('qemu.sock')}`,
      '--export',
      'type=nbd,id=export,node-name=source,name=data,writable=on',
      '--chardev',
      `socket,id=control,path=${at('qmp.sock')},server=on,wait=off`,
      '--monitor',
      'chardev=control',
    ];
    const daemon = await BenchProcess.start(argv, isThere(at('qmp.sock')));
    const mirror = new QemuMirror([daemon, copy.child], `nbd+unix:///data?socket=${at('qemu.sock')}`);
    await beginMirror(at('qmp.sock'));
    return mirror;
  }

  async end(): Promise<void> {
    for (const one of this.#processes) await one.kill();
  }
}

const READY_MS = 60_000;

/** Asks for the mirror; resolves when it says that both are equal. */
async function beginMirror(path: string): Promise<void> {
  const socket = connect(path);
  const say = (execute: string, more: object = {}): void =>
    void socket.write(`${JSON.stringify({ execute, arguments: more })}\n`);
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(
      () => reject(new AgentError('failed', 'the mirror of QEMU is not ready in time')),
      READY_MS,
    );
    let said = '';
    socket.on('error', reject);
    socket.on('data', (piece: Buffer) => {
      said += piece.toString();
      if (said.includes('"error"')) reject(new AgentError('failed', `QEMU refuses: ${said}`));
      if (!said.includes('BLOCK_JOB_READY')) return;
      clearTimeout(late);
      resolve();
    });
    say('qmp_capabilities');
    const how = { device: 'source', target: 'copy', sync: 'full', 'copy-mode': 'write-blocking' };
    say('blockdev-mirror', { 'job-id': 'mirror', ...how });
  }).finally(() => socket.destroy());
}
