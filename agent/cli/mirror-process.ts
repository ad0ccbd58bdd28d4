/** A process of the mirror: what it answers when it is asked, how it changes its role, and how it ends. */
import { AgentError, EXIT } from '../base/errors.ts';
import { ControlServer, type Answer } from '../control-server.ts';
import type { HttpOutlet } from '../operate/http-outlet.ts';
import { serveMetrics } from '../operate/metrics-server.ts';
import { metricsText } from '../operate/metrics-text.ts';
import { tuneForData } from '../platform/engine.ts';
import type { Log } from '../platform/log.ts';
import { keepFreedMemory } from '../platform/native.ts';
import { holdVolume, type VolumeHold } from '../platform/volume-hold.ts';
import type { MirrorSourceSettings } from '../settings/mirror.ts';
import { MIRROR_METRICS } from './mirror-metrics.ts';

export type Request = Readonly<Record<string, unknown>>;

/** A command's answer; with `next` the process goes on as that, once the present role is closed. */
export interface Done {
  readonly answer: Answer;
  readonly next?: () => Promise<Role>;
}

/** A role that a process plays. */
export interface Role {
  status(): Answer;
  /** By their names on the control socket. */
  readonly commands: Readonly<Record<string, (request: Request) => Promise<Done>>>;
  close(): Promise<void>;
}

/** `isEnding`: a signal has come, and what takes long may be left. */
export type OpenRole = (fatal: (error: Error) => void, isEnding: () => boolean) => Promise<Role>;

const HOLD_MEND = 'end that first, only the mirror may write it';

/** As an operator types it. */
const spoken = (command: string): string => command.replace(/^(mirror|history)-/, '$1 ');

/** Runs until SIGTERM or SIGINT, or until a part of it dies. Its volumes are its own meanwhile, whatever its role. */
export async function serve(
  { controlSocket, volumes, metricsListen }: Pick<MirrorSourceSettings, 'controlSocket' | 'volumes' | 'metricsListen'>,
  log: Log,
  open: OpenRole,
): Promise<number> {
  let end: (error: Error | null) => void = () => {};
  const ended = new Promise<Error | null>((resolve) => (end = resolve));
  let isEnding = false;
  keepFreedMemory();
  tuneForData();
  // Before anything is set up: what it was doing then would stay behind.
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      isEnding = true;
      end(null);
    });
  }
  let running: Role | null = null;
  /** What it does while it has none. */
  let busy = 'starting: where there is no journal yet, all of a new one is written first';
  /** Settles when no role is being changed. */
  let turning: Promise<void> = Promise.resolve();
  const turn = async (next: () => Promise<Role>): Promise<void> => {
    [running, busy] = [null, 'changing its role'];
    running = await next();
  };
  const control = await ControlServer.open(controlSocket, async (request) => {
    if (!running) throw new AgentError('failed', `it is ${busy}`);
    const command = String(request['command']);
    if (command === 'mirror-status') return running.status();
    const { commands } = running;
    const run = Object.hasOwn(commands, command) ? commands[command] : undefined;
    if (!run) {
      const known = ['mirror-status', ...Object.keys(commands)].map(spoken).join(', ');
      const role = String(running.status()['role']);
      throw new AgentError('usage', `it is a ${role} now, which has no ${spoken(command)}, but ${known}`);
    }
    const { answer, next } = await run(request);
    if (next) {
      const turned = turn(next);
      turning = turned.catch((error: Error) => end(error));
      await turned;
    }
    return answer;
  });
  const holds: VolumeHold[] = [];
  let metrics: HttpOutlet | null = null;
  const figures = async (): Promise<string> => {
    if (!running) throw new AgentError('failed', `it is ${busy}`);
    return metricsText(running.status(), MIRROR_METRICS);
  };
  try {
    metrics = metricsListen && (await serveMetrics(metricsListen, figures));
    for (const { name, path } of volumes) holds.push(holdVolume(`volume ${name}: ${path}`, path, HOLD_MEND));
    running = await open(
      (error) => end(error),
      () => isEnding,
    ).catch((error: unknown) => {
      // As it was told to: a start is left in the middle.
      if (!isEnding) throw error;
      return null;
    });
    const error = await ended;
    if (error) log.log('error', 'fatal', { reason: error.message });
    await turning;
    // What a command has put there meanwhile.
    await running?.close();
    log.log('info', 'stopped', { reason: error ? 'fatal' : 'a signal' });
    return error ? EXIT.died : EXIT.ok;
  } finally {
    metrics?.close();
    control.close();
    for (const hold of holds) hold.close();
  }
}
