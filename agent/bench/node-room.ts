/**
 * A node of a lab as a machine of its own: mount, UTS, IPC and PID namespaces on top of the lab's network namespace, for
 * daemons that take the whole machine for theirs (corosync, Pacemaker).
 *
 * The first process of the PID namespace is a shell that waits for the end of its input. When that comes, because the
 * room is closed or because its owner has died in whatever way, the shell ends, and the kernel ends everything in the
 * room with it: no daemon is ever looked up by its name.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { AgentError, assert } from '../base/errors.ts';
import type { Lab } from '../demo/lab.ts';
import type { CommandOptions, CommandResult } from '../demo/shell.ts';

const OPEN_MS_MAX = 60_000;
/** What systemd gives to services. */
const DAEMON_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * $1: the directory with the node's own files, $2: its name. The process's number outside is read before the room gets
 * a /proc of its own. A new mount namespace holds on to the mounts of other labs' namespaces: they are given up first,
 * or those namespaces would outlive their labs.
 */
const SETUP = `set -e
read -r number rest </proc/self/stat
umount -R /run/netns 2>/dev/null || true
hostname "$2"
mount -t proc proc /proc
mount --bind "$1/hosts" /etc/hosts
for place in /run /dev/shm /etc/corosync /var/lib/corosync /var/lib/pacemaker /var/log; do
  mount -t tmpfs -o mode=755 tmpfs "$place"
done
chmod 1777 /dev/shm
mkdir -m 1777 /run/lock
mkdir -p /run/resource-agents /etc/corosync/uidgid.d /var/log/corosync
cp "$1/corosync.conf" "$1/authkey" /etc/corosync/
for place in cib pengine cores blackbox; do mkdir -m 750 "/var/lib/pacemaker/$place"; done
mkdir -m 750 /run/crm
mkdir -m 770 /var/log/pacemaker
chown -R hacluster:haclient /var/lib/pacemaker/* /run/crm /var/log/pacemaker
echo "$number"
while read -r word; do :; done`;

export class NodeRoom {
  readonly node: string;
  readonly #lab: Lab;
  readonly #shell: ChildProcess;
  readonly #pid: number;

  private constructor(lab: Lab, node: string, shell: ChildProcess, pid: number) {
    this.#lab = lab;
    this.node = node;
    this.#shell = shell;
    this.#pid = pid;
  }

  /** `directory` holds the node's `corosync.conf`, `authkey` and `hosts`. */
  static async open(lab: Lab, node: string, directory: string): Promise<NodeRoom> {
    // Slave: what the host unmounts is unmounted here too, or a room would hold the host's disks.
    const namespaces = [
      'unshare',
      '--mount',
      '--propagation',
      'slave',
      '--uts',
      '--ipc',
      '--pid',
      '--fork',
      '--kill-child',
    ];
    const shell = lab.spawn(node, [...namespaces, 'sh', '-c', SETUP, 'sh', directory, node], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    shell.stdin?.on('error', () => {}); // it has ended: its exit says so
    let complaint = '';
    shell.stderr?.on('data', (piece: Buffer) => (complaint += piece.toString()));
    assert(shell.stdout !== null, 'the output of the room is a pipe');
    const lines = createInterface(shell.stdout);
    const signal = AbortSignal.timeout(OPEN_MS_MAX);
    const first = await Promise.race([
      once(lines, 'line', { signal }).then(([line]) => Number(line)),
      once(shell, 'exit', { signal }).then(() => 0),
    ]).catch(() => 0);
    if (first === 0) {
      shell.kill('SIGKILL');
      throw new AgentError('failed', `no room for node ${node}: ${complaint.trim() || 'its shell does not answer'}`);
    }
    return new NodeRoom(lab, node, shell, first);
  }

  /** Where a file of the room is seen from outside; as long as the room is open. */
  path(inside: string): string {
    return `/proc/${this.#pid}/root${inside}`;
  }

  /** A command that runs another one, its further arguments, in the room. It does not hand signals on. */
  get enter(): readonly string[] {
    return ['nsenter', '--target', String(this.#pid), '--mount', '--uts', '--ipc', '--pid', '--'];
  }

  /** Runs a program in the room to its end. */
  async exec(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    return this.#lab.exec(this.node, [...this.enter, ...argv], options);
  }

  /** Starts a daemon in the room; it ends with the room. `log`: where it prints, inside. */
  spawn(argv: readonly string[], log: string): ChildProcess {
    const start = ['sh', '-c', 'log=$1; shift; exec "$@" >>"$log" 2>&1', 'sh', log, ...argv];
    // Log lines bear no zone: in the room it is UTC.
    const env = { ...process.env, TZ: 'UTC', PATH: DAEMON_PATH };
    return this.#lab.spawn(this.node, [...this.enter, ...start], { stdio: 'ignore', env });
  }

  /** Ends everything in the room. */
  async close(): Promise<void> {
    if (this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    const ended = once(this.#shell, 'exit', { signal: AbortSignal.timeout(OPEN_MS_MAX) });
    this.#shell.stdin?.end();
    await ended.catch(() => this.#shell.kill('SIGKILL'));
  }
}
