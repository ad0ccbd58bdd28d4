/** `stillbeat run --config FILE`: the agent in the foreground. SIGTERM drains and ends, SIGHUP reads the settings again. */
import { parseArgs } from 'node:util';
import { removeInterface } from '../../vnic/interface-linux.ts';
import { Agent } from '../agent.ts';
import { toHex } from '../base/bytes.ts';
import { AgentError, EXIT } from '../base/errors.ts';
import { ControlServer, type Answer } from '../control-server.ts';
import { MessageService } from '../messages/service.ts';
import { removeBypass } from '../bypass/bypass.ts';
import { OVERRIDES, type Override } from '../base/paths.ts';
import { CorosyncAdvice } from '../operate/corosync-advice.ts';
import { Operations } from '../operate/operations.ts';
import { EventLog, type Figures, type LoggedEvent } from '../operate/event-log.ts';
import type { EventKind } from '../operate/event-kinds.ts';
import { Past } from '../operate/past.ts';
import { Page, type PageNews } from '../page/page.ts';
import { createLog, logLevel } from '../platform/log.ts';
import { runsInRealTime } from '../platform/scheduling.ts';
import { VERSION } from '../platform/version.ts';
import { readKeyFile } from '../settings/key.ts';
import { loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/settings.ts';
import { statusDocument } from '../status.ts';
import type { SeatChange } from '../plan.ts';
import { keyId } from '../wire/keys.ts';
import type { Keys } from '../volume-keys.ts';
import { examineVolumes, type SeenVolumes } from '../volumes.ts';
import { AgentEvents } from './agent-events.ts';
import { requireConfig } from './usage.ts';

/** Why the program ends, and with which status. */
interface End {
  readonly status: number;
  readonly reason: string;
}

export async function run(argv: string[]): Promise<number> {
  const { values } = parseArgs({ args: argv, options: { config: { type: 'string' } } });
  const file = requireConfig('run', values.config);
  const settings = loadSettings(file);
  const log = createLog(settings.node, process.stderr.isTTY, logLevel(process.env['STILLBEAT_LOG']));
  const events = new EventLog(
    log,
    (...event) => program.happened(...event),
    (event) => program.kept(event),
  );
  const program = new Program(file, events);
  return program.run(settings);
}

class Program {
  readonly #file: string;
  readonly #events: EventLog;
  readonly #agentEvents: AgentEvents;
  /** What the operator set, by the peer's name: it outlives the agent. */
  readonly #overrides = new Map<string, Override>();
  readonly #corosync = new CorosyncAdvice({
    look: async () => (await this.#agent?.snapshot())?.peers ?? [],
    warn: (reason, figures) => this.#events.tell('corosync', { reason, ...figures }),
  });
  readonly #past = new Past({
    status: async () => this.#answer({ command: 'status' }),
    tell: (kind, figures) => this.#events.tell(kind, figures),
  });
  readonly #page = new Page({
    status: async () => this.#answer({ command: 'status' }),
    past: () => this.#past,
    keys: () => this.#agent?.keys ?? [],
  });
  #control: ControlServer | null = null;
  #messages: MessageService | null = null;
  #agent: Agent | null = null;
  #operations: Operations | null = null;
  #end: (end: End) => void = () => {};
  #reading: Promise<void> | null = null;
  #readWanted = false;
  #isStarted = false;
  #isEnding = false;

  constructor(file: string, events: EventLog) {
    this.#file = file;
    this.#events = events;
    this.#agentEvents = new AgentEvents(events, () => this.#agent);
  }

  /** An event, for what an operator's tools see of it. */
  happened(kind: EventKind, figures: Figures, at: string): void {
    this.#operations?.event(kind, figures, at);
  }

  /** An event that is in the log, for what outlives it and for who looks at the page. */
  kept(event: LoggedEvent): void {
    this.#past.note(event);
    this.#page.note(event);
  }

  async run(settings: Settings): Promise<number> {
    const ended = new Promise<End>((resolve) => {
      this.#end = (end) => {
        this.#isEnding = true;
        resolve(end);
      };
    });
    this.#listenToSignals();
    this.#control = await this.#openControl(settings);
    try {
      this.#messages = await MessageService.open(settings.messages.socket, (why) =>
        this.#events.tell('program-cut-off', { reason: `a program was cut off from the messages socket: ${why}` }),
      );
      this.#operations = await Operations.open(settings, {
        status: async () => this.#answer({ command: 'status' }),
        // Between two agents nothing stands still that should move.
        isMoving: () => this.#agent?.isMoving ?? true,
        tell: (kind, figures) => this.#events.tell(kind, figures),
      });
      this.#past.use(settings);
      const page = await this.#page.use(settings, true);
      await this.#start(settings).catch((error: unknown) => {
        // What it waited for is nothing that anybody wants any more.
        if (!this.#isEnding) throw error;
      });
      this.#tellPage(page);
      await this.#operations.running(settings);
      this.#operations.ready();
      this.#isStarted = true;
      if (this.#readWanted) this.#wantSettings();
      const { status, reason } = await ended;
      this.#operations.stopping();
      await this.#reading;
      // A successor finds the interface of an agent that died, with its address.
      const haveEnded = await this.#agent?.close(status === EXIT.died, status === EXIT.ok);
      this.#events.flush();
      // Everything is given back all the same; the kernel keeps the process, and nobody can end it.
      if (haveEnded === false) this.#events.tell('stop-waits', {});
      this.#events.tell('stopped', { reason, status });
      return status;
    } finally {
      this.#messages?.close();
      this.#corosync.stop();
      this.#operations?.close();
      this.#page.close();
      await this.#past.close();
      this.#control.close();
    }
  }

  /**
   * Before anything else: a signal's default action would end the process with all that it has set up left behind. A second
   * SIGTERM while it drains changes nothing; a SIGHUP while it starts waits until it has.
   */
  #listenToSignals(): void {
    const end = (reason: string) => this.#end({ status: EXIT.ok, reason });
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
    process.on('SIGHUP', () => this.#wantSettings());
  }

  async #openControl(settings: Settings): Promise<ControlServer> {
    return ControlServer.open(settings.controlSocket, async (request) => this.#answer(request));
  }

  async #start(settings: Settings): Promise<void> {
    const agent = await Agent.start(settings, {
      tell: ({ kind, ...figures }) => this.#events.tell(kind, figures),
      isWanted: () => !this.#isEnding,
    });
    this.#agent = agent;
    agent.on('event', (event) => this.#agentEvents.note(event));
    agent.on('fatal', (error) => this.#fail(error));
    await this.#joinMessages(agent);
    const { volumes } = agent;
    if (settings.unauthenticated) this.#events.tell('unauthenticated', {});
    if (!runsInRealTime('sb-switch')) this.#events.tell('no-real-time', {});
    if (!volumes.isDirect) this.#events.tell('no-direct', { volume: volumes.send.path });
    this.#corosync.use(settings.corosyncConf, settings.peers.length + 1);
    this.#events.tell('running', {
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
      this.#events.tell('messages-not-moved', { reason: messageOf(error) });
    }
  }

  /**
   * A SIGHUP that comes while the settings are being taken over makes them be read once more: the newest file counts. One
   * that comes when the end has begun is for nobody: it would start another agent beside the one that closes.
   */
  #wantSettings(): void {
    this.#readWanted = true;
    if (!this.#isStarted || this.#isEnding) return;
    this.#reading ??= this.#readWhileWanted().finally(() => (this.#reading = null));
  }

  async #readWhileWanted(): Promise<void> {
    while (this.#readWanted && !this.#isEnding) {
      this.#readWanted = false;
      this.#operations?.reloading();
      await this.#readAgain();
    }
    if (!this.#isEnding) this.#operations?.ready();
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
      this.#events.tell('restarting', { reason: `other settings: ${reasons.join(', ')}` });
      control = settings.controlSocket === oldControl.path ? oldControl : await this.#openControl(settings);
    } catch (error) {
      this.#events.tell('settings-refused', { reason: `settings not taken over: ${messageOf(error)}` });
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
    const names = (seats: SeatChange['gone']) => seats.map(({ peer }) => peer.node).join(' ');
    await this.#overrideAgain();
    await this.#joinMessages(agent);
    this.#corosync.use(settings.corosyncConf, settings.peers.length + 1);
    await this.#running(settings);
    const [seals, ...opens] = agent.keys.map((key) => toHex(keyId(key)));
    if (keyBefore !== keysText(agent)) this.#events.tell('keys', { seals: seals ?? '', opens: opens.join(' ') });
    this.#events.tell('settings', { added: names(come), removed: names(gone) });
    if (!isComplete) this.#events.tell('settings-late', {});
  }

  /** What serves the operator follows the settings. */
  async #running(settings: Settings): Promise<void> {
    await this.#operations?.running(settings);
    this.#past.use(settings);
    this.#tellPage(await this.#page.use(settings, false));
  }

  #tellPage(news: PageNews | null): void {
    if (news !== null) this.#events.tell(news.kind, news.figures);
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
      await this.#running(settings);
      return true;
    } catch (error) {
      const reason = `the new settings cannot start, back to the former ones: ${messageOf(error)}`;
      this.#events.tell('settings-refused', { reason });
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
    const status = error instanceof AgentError ? error.exitStatus : EXIT.failed;
    this.#events.tell('fatal', { reason: messageOf(error), status });
    this.#end({ status, reason: 'fatal' });
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
    this.#events.tell('override-lost', { peer, reason: messageOf(error) });
  }

  async #answer(request: Readonly<Record<string, unknown>>): Promise<Answer> {
    const agent = this.#agent;
    if (!agent) throw new AgentError('failed', 'the agent is starting');
    if (request['command'] === 'status')
      return statusDocument(agent, this.#events.newest, this.#corosync.document(), this.#messages?.figures ?? {});
    if (request['command'] === 'view') return { ...(await this.#page.view()) };
    if (request['command'] === 'figures') return { minute: await this.#past.minuteSoFar() };
    if (request['command'] === 'path') return this.#setPath(agent, String(request['peer']), String(request['to']));
    if (request['command'] === 'copy') return this.#copy(agent, request);
    throw new AgentError(
      'usage',
      `unknown command ${String(request['command'])}: use status, view, figures, path or copy`,
    );
  }

  async #copy(agent: Agent, { position, peer, deadlineMs }: Readonly<Record<string, unknown>>): Promise<Answer> {
    const read = await agent.copyNow(
      typeof position === 'number' ? position : null,
      typeof peer === 'string' ? peer : null,
      Number(deadlineMs),
    );
    return { ok: true, ...read };
  }

  async #setPath(agent: Agent, peer: string, to: string): Promise<Answer> {
    const index = agent.settings.peers.findIndex(({ node }) => node === peer);
    const known = agent.settings.peers.map(({ node }) => node).join(', ');
    if (index < 0) throw new AgentError('usage', `no peer ${peer}: this node's peers are ${known}`);
    const override: Override | undefined = OVERRIDES.find((candidate) => candidate === to);
    if (!override) throw new AgentError('usage', `no path ${to}: use ${OVERRIDES.join(', ')}`);
    await agent.setPath(index, override);
    this.#overrides.set(peer, override);
    this.#events.tell('override', { peer, to: override });
    return { ok: true, peer, path: override };
  }
}

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
