/** `stillbeat run --config FILE`: the agent in the foreground. SIGTERM drains and ends, SIGHUP reads the settings again. */
import { parseArgs } from 'node:util';
import ping from 'ping';
import { removeInterface } from '../../vnic/interface-linux.ts';
import { Agent, type AgentEvent, type Keys } from '../agent.ts';
import { toHex } from '../base/bytes.ts';
import { AgentError, EXIT } from '../base/errors.ts';
import { ControlServer, type Answer } from '../control-server.ts';
import { MessageService } from '../messages/service.ts';
import { removeBypass } from '../bypass/bypass.ts';
import { OVERRIDES, type Override } from '../base/paths.ts';
import { CorosyncAdvice } from '../operate/corosync-advice.ts';
import { Operations } from '../operate/operations.ts';
import { createLog, type Log } from '../platform/log.ts';
import { errnoName } from '../platform/native.ts';
import { runsInRealTime } from '../platform/scheduling.ts';
import { readKeyFile } from '../settings/key.ts';
import { loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/settings.ts';
import { type LoggedEvent, statusDocument, VERSION } from '../status.ts';
import type { SeatChange } from '../plan.ts';
import { keyId } from '../wire/keys.ts';
import { examineVolumes, type SeenVolumes } from '../volumes.ts';
import { requireConfig } from './usage.ts';

const EVENTS_KEPT = 200;

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: { config: { type: 'string' } } });
  const file = requireConfig('run', values.config);
  const settings = loadSettings(file);
  const program = new Program(file, createLog(settings.node, process.stderr.isTTY));
  return program.run(settings);
}

class Program {
  readonly #file: string;
  readonly #log: Log;
  readonly #events: LoggedEvent[] = [];
  /** What the operator set, by the peer's name: it outlives the agent. */
  readonly #overrides = new Map<string, Override>();
  readonly #corosync = new CorosyncAdvice({
    look: async () => (await this.#agent?.snapshot())?.peers ?? [],
    warn: (text) => this.#log.warn(text),
  });
  #control: ControlServer | null = null;
  #messages: MessageService | null = null;
  #agent: Agent | null = null;
  #operations: Operations | null = null;
  #end: (status: number) => void = () => {};
  #reading: Promise<void> | null = null;
  #readWanted = false;

  constructor(file: string, log: Log) {
    this.#file = file;
    this.#log = log;
  }

  async run(settings: Settings): Promise<number> {
    const ended = new Promise<number>((resolve) => (this.#end = resolve));
    this.#control = await this.#openControl(settings);
    try {
      this.#messages = await MessageService.open(settings.messages.socket, (why) =>
        this.#log.warn('a program was cut off from the messages socket', { why }),
      );
      // From here on a signal finds somebody who cleans up, also while the agent starts or starts again.
      const end = () => this.#end(0);
      process.once('SIGTERM', end);
      process.once('SIGINT', end);
      this.#operations = await Operations.open(settings, {
        status: async () => this.#answer({ command: 'status' }),
        // Between two agents nothing stands still that should move.
        isMoving: () => this.#agent?.isMoving ?? true,
        tell: (kind, figures) => this.#record(kind, figures, LEVELS[kind] ?? 'warn'),
      });
      await this.#start(settings);
      await this.#operations.running(settings);
      this.#operations.ready();
      process.on('SIGHUP', () => this.#wantSettings());
      const status = await ended;
      this.#operations.stopping();
      await this.#reading;
      // A successor finds the interface of an agent that died, with its address.
      await this.#agent?.close(status === EXIT.died, status === EXIT.ok);
      this.#log.info('stopped');
      return status;
    } finally {
      this.#messages?.close();
      this.#corosync.stop();
      this.#operations?.close();
      this.#control.close();
    }
  }

  async #openControl(settings: Settings): Promise<ControlServer> {
    return ControlServer.open(settings.controlSocket, async (request) => this.#answer(request));
  }

  async #start(settings: Settings): Promise<void> {
    const agent = await Agent.start(settings);
    this.#agent = agent;
    agent.on('event', (event) => this.#note(event));
    agent.on('fatal', (error) => {
      this.#log.error(error.message);
      process.stderr.write(`stillbeat: ${error.message}\n`);
      this.#end(error.exitStatus);
    });
    await this.#joinMessages(agent);
    if (settings.unauthenticated)
      this.#log.warn('RUNNING WITHOUT A KEY: anybody who can write the volume or send to the port is believed');
    const { volumes } = agent;
    if (!runsInRealTime('sb-switch'))
      this.#log.warn('threads run at ordinary priority, late under load: give the agent CAP_SYS_NICE');
    if (!volumes.isDirect)
      this.#log.warn('the volume refuses O_DIRECT: other hosts may read old blocks', { volume: volumes.send.path });
    this.#corosync.use(settings.corosyncConf, settings.peers.length + 1);
    this.#log.info('running', {
      version: VERSION,
      cluster: settings.cluster,
      interface: settings.vnic.name,
      volume: volumes.send.path,
    });
  }

  /** Another socket that cannot be made leaves the programs at the former one. */
  async #joinMessages(agent: Agent): Promise<void> {
    try {
      await this.#messages?.join(agent.settings, agent.messages, (node) => agent.seatOf(node));
    } catch (error) {
      this.#log.error('the messages socket stays where it was', { reason: messageOf(error) });
    }
  }

  /** A SIGHUP that comes while the settings are being taken over makes them be read once more: the newest file counts. */
  #wantSettings(): void {
    this.#readWanted = true;
    this.#reading ??= this.#readWhileWanted().finally(() => (this.#reading = null));
  }

  async #readWhileWanted(): Promise<void> {
    while (this.#readWanted) {
      this.#readWanted = false;
      this.#operations?.reloading();
      await this.#readAgain();
    }
    this.#operations?.ready();
  }

  /** SIGHUP: new settings take effect, where they cannot while the agent runs by a new one in this process; bad ones change nothing. */
  async #readAgain(): Promise<void> {
    const old = this.#agent;
    const oldControl = this.#control;
    if (!old || !oldControl) return;
    let settings: Settings;
    let control: ControlServer;
    try {
      settings = loadSettings(this.#file);
      const keys = settings.keyFile === null ? null : readKeyFile(settings.keyFile);
      const seen = examineVolumes(settings, keys);
      const reasons = old.restartReasons(settings, keys, seen);
      if (reasons.length === 0) {
        await this.#takeOver(old, settings, keys, seen);
        return;
      }
      this.#log.info('the agent starts anew for other settings', { reasons: reasons.join(', ') });
      control = settings.controlSocket === oldControl.path ? oldControl : await this.#openControl(settings);
    } catch (error) {
      this.#log.error('settings not taken over', { reason: messageOf(error) });
      return;
    }
    this.#agent = null;
    const isNew = await this.#exchange(old, settings);
    if (control === oldControl) return;
    (isNew ? oldControl : control).close();
    this.#control = isNew ? control : oldControl;
  }

  /** The agent goes on with other settings: nothing but what they say is changed. */
  async #takeOver(agent: Agent, settings: Settings, keys: Keys, seen: SeenVolumes): Promise<void> {
    const keyBefore = keysText(agent);
    const { gone, come, isComplete } = await agent.takeOver(settings, keys, seen);
    const names = (seats: SeatChange['gone']) => seats.map(({ peer }) => peer.node).join(', ');
    await this.#overrideAgain();
    await this.#joinMessages(agent);
    this.#corosync.use(settings.corosyncConf, settings.peers.length + 1);
    await this.#operations?.running(settings);
    const [seals, ...opens] = agent.keys.map((key) => toHex(keyId(key)));
    if (keyBefore !== keysText(agent)) this.#note({ kind: 'keys', seals: seals ?? '', opens: opens.join(', ') });
    this.#note({ kind: 'settings', added: names(come), removed: names(gone) });
    if (!isComplete) this.#log.warn('a thread takes the settings over later: it hangs in its storage');
  }

  /** Answers true when an agent with the new settings runs. When they cannot start, the former ones do again. */
  async #exchange(old: Agent, settings: Settings): Promise<boolean> {
    this.#messages?.part();
    const ended = await old.close(settings.vnic.name === old.settings.vnic.name);
    if (!ended) {
      const reason = 'a thread of the former agent hangs in its storage: start the program again';
      this.#fail(new AgentError('died', reason));
      return false;
    }
    try {
      await this.#start(settings);
      await this.#overrideAgain();
      await this.#operations?.running(settings);
      this.#log.info('settings read again');
      return true;
    } catch (error) {
      this.#log.error('the new settings cannot start, back to the former ones', { reason: messageOf(error) });
    }
    try {
      await this.#start(old.settings);
      await this.#overrideAgain();
    } catch (error) {
      // Nobody would take packets out of it, and programs on this node must see that the way is gone.
      removeQuietly(old.settings);
      this.#fail(error);
    }
    return false;
  }

  #fail(error: unknown): void {
    this.#log.error('cannot go on', { reason: messageOf(error) });
    process.stderr.write(`stillbeat: ${messageOf(error)}\n`);
    this.#end(error instanceof AgentError ? error.exitStatus : EXIT.failed);
  }

  /** An operator's override holds until the operator takes it back, not until the next SIGHUP. */
  async #overrideAgain(): Promise<void> {
    const agent = this.#agent;
    if (!agent) return;
    for (const [peer, override] of this.#overrides) {
      const index = agent.settings.peers.findIndex(({ node }) => node === peer);
      if (index < 0) this.#overrides.delete(peer);
      else await agent.setPath(index, override).catch((error) => this.#notOverridden(peer, error));
    }
  }

  #notOverridden(peer: string, error: unknown): void {
    this.#log.error('override not carried over', { peer, reason: messageOf(error) });
  }

  async #answer(request: Readonly<Record<string, unknown>>): Promise<Answer> {
    const agent = this.#agent;
    if (!agent) throw new AgentError('failed', 'the agent is starting');
    if (request['command'] === 'status')
      return statusDocument(agent, this.#events, this.#corosync.document(), this.#messages?.figures ?? {});
    if (request['command'] === 'path') return this.#setPath(agent, String(request['peer']), String(request['to']));
    throw new AgentError('usage', `unknown command ${String(request['command'])}: use status or path`);
  }

  async #setPath(agent: Agent, peer: string, to: string): Promise<Answer> {
    const index = agent.settings.peers.findIndex(({ node }) => node === peer);
    const known = agent.settings.peers.map(({ node }) => node).join(', ');
    if (index < 0) throw new AgentError('usage', `no peer ${peer}: this node's peers are ${known}`);
    const override: Override | undefined = OVERRIDES.find((candidate) => candidate === to);
    if (!override) throw new AgentError('usage', `no path ${to}: use ${OVERRIDES.join(', ')}`);
    await agent.setPath(index, override);
    this.#overrides.set(peer, override);
    this.#note({ kind: 'override', peer, to: override });
    return { ok: true, peer, path: override };
  }

  #note(event: AgentEvent | ProgramEvent): void {
    const { kind, ...figures } = event;
    const plain = Object.fromEntries(Object.entries(figures).map(([key, value]) => [key, printable(key, value)]));
    const level = event.kind === 'path' && event.to === 'suspect' ? 'debug' : (LEVELS[kind] ?? 'info');
    this.#record(kind, plain, level);
    if (event.kind === 'path' && (event.to === 'storage' || event.to === 'isolated')) void this.#diagnose(event.peer);
  }

  /** Tells a dead network from a dead agent: does the peer's host answer ICMP on the primary network? */
  async #diagnose(peer: string): Promise<void> {
    const host = this.#agent?.settings.peers.find(({ node }) => node === peer)?.primary?.host;
    if (host === undefined) return;
    const answer = await ping.promise.probe(host, { timeout: 1 }).catch(() => null);
    if (!answer) return;
    const meaning = answer.alive ? "the network works, the peer's agent does not" : 'the network to the peer is down';
    this.#record('diagnosis', { peer, host, icmp: answer.alive, meaning }, 'info');
  }

  /** Everything that happens comes by here: to the list of events, the log, and what an operator's tools see. */
  #record(kind: string, figures: Readonly<Record<string, unknown>>, level: string): void {
    const at = new Date().toISOString();
    this.#events.push({ at, kind, ...figures });
    if (this.#events.length > EVENTS_KEPT) this.#events.shift();
    this.#log.log(level, kind, figures);
    this.#operations?.event(kind, figures, at);
  }
}

type ProgramEvent =
  | { readonly kind: 'override'; readonly peer: string; readonly to: string }
  /** Settings were taken over while the agent runs; peers that came and went, by name. */
  | { readonly kind: 'settings'; readonly added: string; readonly removed: string }
  /** The key file has changed: the id of the key that seals, and of those that open besides. */
  | { readonly kind: 'keys'; readonly seals: string; readonly opens: string };

const keysText = (agent: Agent): string => agent.keys.map((key) => toHex(key)).join(' ');

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function removeQuietly(settings: Settings): void {
  try {
    removeBypass(settings);
    removeInterface(settings.vnic.name);
  } catch {
    // It is no TUN device or another process has it: then it is not ours to remove.
  }
}

const LEVELS: Readonly<Record<string, string>> = {
  'thread-stalled': 'error',
  'thread-died': 'error',
  'storage-error': 'error',
  'storage-silent': 'warn',
  'unknown-key': 'warn',
  'stood-still': 'warn',
  'bypass-error': 'error',
  version: 'warn',
  'peer-unaware': 'warn',
  'address-differs': 'warn',
};

function printable(key: string, value: unknown): unknown {
  if (typeof value !== 'number') return value;
  if (key === 'errno') return value === 0 ? 'a write hangs' : errnoName(value);
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : null;
}
