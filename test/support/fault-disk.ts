/** A volume for a lab whose storage can be made to hang or to fail: see `system/fixtures/fault-disk.mjs`. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, ftruncateSync, openSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Lab } from '../../agent/demo/lab.ts';
import { TOOL_PATH } from '../../agent/demo/shell.ts';

const FIXTURE = fileURLToPath(new URL('../system/fixtures/fault-disk.mjs', import.meta.url));

const CLOSE_MS_MAX = 5000;

/** An errno's number, or the request waits in the kernel until the fault is taken back. */
export type Fault = 'none' | 'hang' | number;

export const EIO = 5;
export const ENOSPC = 28;

export class FaultDisk {
  /** The loop device. */
  readonly path: string;
  /** The file that holds the bytes, to be looked at whatever the faults are. */
  readonly file: string;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: Interface;
  #ownsFile = false;

  private constructor(
    path: string,
    file: string,
    child: ChildProcessByStdio<Writable, Readable, null>,
    lines: Interface,
  ) {
    this.path = path;
    this.file = file;
    this.#child = child;
    this.#lines = lines;
  }

  /** Makes the disk, and makes it the lab's volume. It has to be closed before the lab. */
  static async inLab(lab: Lab, bytes = 64 << 20, sectorBytes = 512): Promise<FaultDisk> {
    const file = join('/dev/shm', `stillbeat-lab-${lab.id}-fault.img`);
    const descriptor = openSync(file, 'w', 0o600);
    ftruncateSync(descriptor, bytes);
    closeSync(descriptor);
    const disk = await FaultDisk.over(lab, file, sectorBytes);
    disk.#ownsFile = true;
    Object.assign(lab, { volume: { path: disk.path, kind: 'loop', file, note: '' } });
    return disk;
  }

  /** One node's faulty way to a volume that others reach by a way of their own. */
  static async over(lab: Lab, file: string, sectorBytes = 512): Promise<FaultDisk> {
    const mounted = join(lab.directory, `fault-disk-${basename(file)}`);
    const child = spawn(process.execPath, [FIXTURE, file, mounted, String(sectorBytes)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, PATH: TOOL_PATH },
    });
    const lines = createInterface(child.stdout);
    const [first] = (await Promise.race([once(lines, 'line'), once(child, 'exit')])) as [unknown];
    if (typeof first !== 'string') throw new Error(`the disk with faults could not be made (status ${String(first)})`);
    return new FaultDisk(first, file, child, lines);
  }

  /** From now on; what hangs and is no longer to hang goes on. */
  async fault(read: Fault, write: Fault): Promise<void> {
    const done = once(this.#lines, 'line');
    this.#child.stdin.write(`${JSON.stringify({ read, write })}\n`);
    await done;
  }

  async heal(): Promise<void> {
    await this.fault('none', 'none');
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = once(this.#child, 'exit');
      this.#child.stdin.end();
      // Its threads wait in the kernel until nobody has the device open any more.
      const kill = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_MS_MAX);
      await ended;
      clearTimeout(kill);
    }
    if (this.#ownsFile) rmSync(this.file, { force: true });
  }
}
