/**
 * What the service manager (systemd, `Type=notify`) is told: ready, reloading, stopping, a line of state, and that the
 * agent is alive. Notifications only: no watchdog device is ever opened, and nothing is fenced or rebooted. Without a
 * manager (no NOTIFY_SOCKET) nothing is told.
 */
import type { NotifySocket } from '../platform/notify-socket.ts';

/** What systemd put into the environment. */
export interface NotifyEnvironment {
  readonly socket: string | null;
  /** How soon systemd wants to hear of us again and again; null: it does not. */
  readonly watchdogMs: number | null;
}

/**
 * Takes the variables out of the environment, so that no program that the agent runs speaks in its name.
 * WATCHDOG_PID names the process that the watchdog is meant for.
 */
export function takeNotifyEnvironment(environment: NodeJS.ProcessEnv, pid: number): NotifyEnvironment {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: meant } = environment;
  delete environment['NOTIFY_SOCKET'];
  delete environment['WATCHDOG_USEC'];
  delete environment['WATCHDOG_PID'];
  const isOurs = meant === undefined || meant === String(pid);
  const watchdogMs = isOurs && usec !== undefined && /^[1-9]\d*$/.test(usec) ? Number(usec) / 1000 : null;
  return { socket: socket === undefined || socket === '' ? null : socket, watchdogMs };
}

/** A manager that does not read for long hears the newest of what it missed. */
const WAITING_MAX = 32;
const AGAIN_MS = 50;

export class Notifier {
  readonly #socket: NotifySocket | null;
  readonly #paths = new Map<string, string>();
  readonly #timer: NodeJS.Timeout | null;
  #statusTold = '';
  /** What the manager has had no room for: a READY that is lost would make it end the agent. */
  readonly #waiting: string[] = [];
  #again: NodeJS.Timeout | undefined;

  /** `isMoving`: whether the agent's threads do their work; while they do not, the watchdog hears nothing. */
  constructor(socket: NotifySocket | null, watchdogMs: number | null, isMoving: () => boolean) {
    this.#socket = socket;
    this.#timer =
      socket === null || watchdogMs === null
        ? null
        : setInterval(() => this.#waiting.length === 0 && isMoving() && this.#tell('WATCHDOG=1'), watchdogMs / 2);
    this.#timer?.unref();
  }

  ready(): void {
    this.#tell('READY=1');
  }

  /** systemd believes a reload only with the moment at which it began. */
  reloading(): void {
    this.#tell(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  stopping(): void {
    this.#tell('STOPPING=1');
  }

  /** Paths to the peers that there are now; `systemctl status` shows them. */
  peers(names: readonly string[]): void {
    for (const known of this.#paths.keys()) if (!names.includes(known)) this.#paths.delete(known);
    for (const name of names) if (!this.#paths.has(name)) this.#paths.set(name, 'starting');
    this.#tellStatus();
  }

  path(peer: string, path: string): void {
    if (!this.#paths.has(peer)) return;
    this.#paths.set(peer, path);
    this.#tellStatus();
  }

  close(): void {
    if (this.#timer) clearInterval(this.#timer);
    clearTimeout(this.#again);
    this.#socket?.close();
  }

  #tellStatus(): void {
    const status = [...this.#paths].map(([peer, path]) => `${peer} ${path}`).join(', ');
    if (status !== this.#statusTold) this.#tell(`STATUS=${status}`);
    this.#statusTold = status;
  }

  #tell(text: string): void {
    if (this.#socket === null) return;
    this.#waiting.push(text);
    if (this.#waiting.length > WAITING_MAX) this.#waiting.shift();
    this.#send(this.#socket);
  }

  #send(socket: NotifySocket): void {
    clearTimeout(this.#again);
    for (let text = this.#waiting[0]; text !== undefined && socket.send(text); text = this.#waiting[0]) {
      this.#waiting.shift();
    }
    if (this.#waiting.length === 0) return;
    this.#again = setTimeout(() => this.#send(socket), AGAIN_MS);
    this.#again.unref();
  }
}
