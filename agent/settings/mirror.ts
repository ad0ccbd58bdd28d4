/** From a settings file of the replicator to its settings, or to one line for each thing that is wrong with it. */
import type { Checksum } from '../mirror/scan/digest.ts';
import type { Acknowledge } from '../mirror/core/replies.ts';
import { AgentError, assert } from '../base/errors.ts';
import { parseEndpoint } from './address.ts';
import type { Given } from './given.ts';
import { readSettingsFile } from './load.ts';
import { mirrorSourceSchema, mirrorTargetSchema } from './mirror-schema.ts';
import { Problems, type KeyPath } from './problems.ts';
import { applySchema, type FileKind } from './schema-problems.ts';
import type { Endpoint } from './settings.ts';
import { readSource } from './source.ts';

/** When a cut is made, and how it is brought to targets that show the one before. */
export interface CheckpointOptions {
  /** `data`: no references, every block as it is. */
  readonly by: 'references' | 'data';
  /** A cut after so many cycles, and after so long; 0: not by that. */
  readonly everyCycles: number;
  readonly ms: number;
  readonly onFlush: boolean;
}

interface CommonFile {
  readonly group: string;
  readonly keyFile: string;
  readonly journal: { readonly path: string; readonly size: string | number; readonly window: string | number };
  readonly volumes: readonly MirrorVolume[];
  readonly export: { readonly keyFile?: string };
  readonly log?: {
    readonly path: string;
    readonly records?: { readonly path: string; readonly size: string | number };
  };
  readonly metrics: { readonly listen?: string };
  readonly control: { readonly socket?: string };
}

export interface RecorderFile {
  readonly name: string;
  readonly connect: string;
  readonly connections: number;
  readonly wait: boolean;
  readonly dataFolder?: string;
}

interface CopyFile {
  readonly name: string;
  readonly connect: string;
  readonly connections: number;
}

/** What a source is, and a target that has taken over. */
interface AsSourceFile {
  readonly recorders: readonly RecorderFile[];
  readonly targets: readonly CopyFile[];
  readonly acknowledge: Acknowledge;
  readonly cycleMs: number;
  readonly cycleBytes: number;
  readonly checksum: Checksum;
  readonly limits: { readonly bytesPerSecond: number };
  readonly inquiry: { readonly intervalMs: number; readonly misses: number };
  readonly checkpoint: Omit<CheckpointOptions, 'by'> & { readonly by?: CheckpointOptions['by'] | 'entries' };
  readonly overflow: { readonly afterMs: number; readonly policy: 'degrade' | 'strict' };
  readonly scrub: ScrubSettings;
}

interface AsTargetFile {
  readonly name: string;
  readonly listen: string;
}

interface SourceFile extends CommonFile, AsSourceFile {
  readonly role: 'source';
  readonly export: { readonly listen: string; readonly keyFile?: string };
  readonly failback?: AsTargetFile;
}

interface TargetFile extends CommonFile, AsTargetFile {
  readonly role: 'target';
  readonly export: { readonly listen?: string; readonly keyFile?: string };
  readonly history?: {
    readonly path: string;
    readonly retention: { readonly hours: number; readonly bytes: string | number };
  };
  readonly takeover: AsSourceFile;
}

/** The comparison of a copy that is in sync. */
export interface ScrubSettings {
  /** 0: on command alone. */
  readonly everyHours: number;
  /** 0: no bound. */
  readonly bytesPerSecond: number;
  readonly idleMs: number;
}

export interface MirrorVolume {
  readonly name: string;
  readonly path: string;
}

export type NbdListen = Endpoint | { readonly path: string };

interface CommonSettings {
  readonly file: string;
  readonly group: string;
  readonly keyFile: string;
  /** Bytes; the window divides the ring. */
  readonly journal: { readonly path: string; readonly ringBytes: number; readonly windowBytes: number };
  readonly volumes: readonly MirrorVolume[];
  /** Keys of NBD clients; null: they need none, and there is no TLS. */
  readonly exportKeyFile: string | null;
  readonly controlSocket: string;
  /** The log device; null without one. */
  readonly log: {
    readonly path: string;
    readonly records: { readonly path: string; readonly bytes: number } | null;
  } | null;
  /** As a target: what it keeps itself; null: nothing. */
  readonly history: {
    readonly path: string;
    readonly retention: { readonly hours: number; readonly bytes: number };
  } | null;
  /** Where figures for Prometheus are served; null: nowhere. */
  readonly metricsListen: Endpoint | null;
}

/** Who keeps a history of what a source takes. */
export interface RecorderAddress {
  readonly name: string;
  readonly address: Endpoint;
  /** That carry data, beside one for control. */
  readonly connections: number;
  readonly wait: boolean;
  readonly dataFolder: string | null;
}

/** A copy, as its source reaches it. */
export interface TargetAddress {
  readonly name: string;
  readonly address: Endpoint;
  /** That carry writes, beside one for the direct question. */
  readonly connections: number;
}

/** What a source is, and a target that has taken over. */
export interface AsSource {
  readonly recorders: readonly RecorderAddress[];
  readonly targets: readonly TargetAddress[];
  readonly acknowledge: Acknowledge;
  /** By what volumes are compared. */
  readonly checksum: Checksum;
  readonly cycles: { readonly cycleMs: number; readonly bytes: number };
  /** Of what goes to each target; 0: none. */
  readonly limits: { readonly bytesPerSecond: number };
  readonly inquiry: { readonly intervalMs: number; readonly misses: number };
  /** Null: whatever is committed is redone at once. */
  readonly checkpoint: CheckpointOptions | null;
  /** What happens when the journal is full of what a target lacks, and how long it may be. */
  readonly overflow: { readonly afterMs: number; readonly policy: 'degrade' | 'strict' };
  readonly scrub: ScrubSettings;
}

/** What a target is, and a source that has been overtaken. */
export interface AsTarget {
  readonly name: string;
  /** Where the source dials. */
  readonly address: Endpoint;
}

export interface MirrorSourceSettings extends CommonSettings, AsSource {
  readonly role: 'source';
  /** Null: nobody is served. */
  readonly listen: NbdListen | null;
  /** Null: it can be no target. */
  readonly failback: AsTarget | null;
}

export interface MirrorTargetSettings extends CommonSettings, AsTarget {
  readonly role: 'target';
  /** Null: the receive volumes are not served. */
  readonly listen: NbdListen | null;
  readonly takeover: AsSource;
}

/** The same group and volumes in the other role: what a target's settings make of it when it has taken over. */
export function sourceOfTarget(settings: MirrorTargetSettings): MirrorSourceSettings {
  const { takeover, listen, name, address } = settings;
  if (listen === null) {
    throw new AgentError(
      'usage',
      `${settings.file}: without export.listen clients could not reach a source here: set it, and start the target again`,
    );
  }
  return { ...settings, ...takeover, role: 'source', listen, failback: { name, address } };
}

/** What a source's settings make of it when it has been overtaken. */
export function targetOfSource(settings: MirrorSourceSettings): MirrorTargetSettings {
  const { failback, targets, recorders, acknowledge, checksum, cycles, checkpoint } = settings;
  const { limits, inquiry, overflow, scrub } = settings;
  if (failback === null) {
    throw new AgentError(
      'usage',
      `${settings.file}: without failback it cannot be a target: set failback: { name, listen }, and start it again`,
    );
  }
  const takeover = { targets, recorders, acknowledge, checksum, cycles, checkpoint, limits, inquiry, overflow, scrub };
  return { ...settings, ...failback, role: 'target', takeover };
}

export const SOURCE_FILE: FileKind = { schema: mirrorSourceSchema, example: 'config/mirror-source.yaml' };
export const TARGET_FILE: FileKind = { schema: mirrorTargetSchema, example: 'config/mirror-target.yaml' };

/** Of a small journal it is all. */
const WINDOW_DEFAULT = '64M';
const WINDOW_BYTES_MIN = 1024 * 1024;
const RING_BYTES_MIN = 4 * 1024 * 1024;
/** The mirror's threads tell positions as 32-bit counts of 128 bytes. */
const RING_BYTES_MAX = 64 * 1024 ** 3;

export function loadMirrorSource(path: string): MirrorSourceSettings {
  const settings = loadAs('source', path, SOURCE_FILE.example);
  return parseMirrorSource(settings, path);
}

export function loadMirrorTarget(path: string): MirrorTargetSettings {
  const settings = loadAs('target', path, TARGET_FILE.example);
  return parseMirrorTarget(settings, path);
}

/** The text of settings that are for this role: those of the other one are not held against this one's schema, key by key. */
function loadAs(role: 'source' | 'target', path: string, example: string): string {
  const text = readSettingsFile(path, example);
  const { role: given, line } = roleLine(text, path);
  if (given !== null && given !== role) {
    const mend = `say stillbeat mirror ${given}, or name the settings of a ${role}`;
    throw new AgentError('usage', `${path}:${line}: role: these are the settings of a ${given}: ${mend}`);
  }
  return text;
}

/** Either role's, by what the file says. */
export function loadMirror(path: string): MirrorSourceSettings | MirrorTargetSettings {
  const text = readSettingsFile(path, SOURCE_FILE.example);
  return roleLine(text, path).role === 'target' ? parseMirrorTarget(text, path) : parseMirrorSource(text, path);
}

/** Which of a mirror's two a settings file says that it is for, and in which line, whatever else is in it; null: neither. */
export function roleLine(
  text: string,
  file: string,
): { readonly role: 'source' | 'target' | null; readonly line: number } {
  const { value, lineOf } = readSource(text, file);
  const role = typeof value === 'object' && value !== null ? (value as Record<string, unknown>)['role'] : null;
  return { role: role === 'source' || role === 'target' ? role : null, line: lineOf(['role']) };
}

export function parseMirrorSource(text: string, file: string): MirrorSourceSettings {
  const { given, problems } = read<SourceFile>(text, file, SOURCE_FILE);
  checkTargets(given?.targets, ['targets'], problems);
  checkTargets(given?.recorders, ['recorders'], problems);
  checkEndpoint(given?.failback?.listen, ['failback', 'listen'], problems);
  checkListen(given?.export?.listen, problems);
  problems.throwIfAny();
  const from = given as SourceFile;
  return {
    ...common(from, file, `mirror-${from.group}`),
    role: 'source',
    listen: listenOf(from.export.listen),
    ...asSource(from),
    failback: from.failback ? { name: from.failback.name, address: endpointOf(from.failback.listen) } : null,
  };
}

const asSource = (from: AsSourceFile): AsSource => ({
  recorders: from.recorders.map(({ name, connect, connections, wait, dataFolder = null }) => ({
    name,
    address: endpointOf(connect),
    connections,
    wait,
    dataFolder,
  })),
  targets: from.targets.map(({ name, connect, connections }) => ({ name, address: endpointOf(connect), connections })),
  acknowledge: from.acknowledge,
  checksum: from.checksum,
  cycles: { cycleMs: from.cycleMs, bytes: from.cycleBytes },
  checkpoint: checkpointOf(from.checkpoint),
  limits: from.limits,
  inquiry: from.inquiry,
  overflow: from.overflow,
  scrub: from.scrub,
});

/** Who says how often has cuts. */
function checkpointOf({ by: given, ...when }: AsSourceFile['checkpoint']): CheckpointOptions | null {
  const by = given ?? (when.everyCycles > 0 ? 'references' : 'entries');
  return by === 'entries' ? null : { by, ...when };
}

export function parseMirrorTarget(text: string, file: string): MirrorTargetSettings {
  const { given, problems } = read<TargetFile>(text, file, TARGET_FILE);
  checkEndpoint(given?.listen, ['listen'], problems);
  checkListen(given?.export?.listen, problems);
  checkTargets(given?.takeover?.targets, ['takeover', 'targets'], problems);
  checkTargets(given?.takeover?.recorders, ['takeover', 'recorders'], problems);
  checkHistory(given, problems);
  problems.throwIfAny();
  const from = given as TargetFile;
  return {
    ...common(from, file, `mirror-${from.group}-${from.name}`),
    role: 'target',
    name: from.name,
    address: endpointOf(from.listen),
    listen: from.export.listen === undefined ? null : listenOf(from.export.listen),
    takeover: asSource(from.takeover),
    history: from.history ? historyOf(from.history) : null,
  };
}

const historyOf = ({ path, retention: { hours, bytes } }: NonNullable<TargetFile['history']>) => ({
  path,
  retention: { hours, bytes: bytesOf(bytes) },
});

function checkHistory(given: Given<TargetFile> | null, problems: Problems): void {
  const path = given?.history?.path;
  const { journal, volumes, log } = given ?? {};
  const others = [journal?.path, log?.path, ...(volumes?.map((volume) => volume?.path) ?? [])];
  if (path === undefined || !others.includes(path)) return;
  problems.add(['history', 'path'], `${path} is something else too`, 'give the history a folder of its own');
}

function read<File extends CommonFile>(
  text: string,
  file: string,
  kind: FileKind,
): { given: Given<File> | null; problems: Problems } {
  const source = readSource(text, file);
  const problems = new Problems(file, source.lineOf);
  const given = applySchema<File>(source.value, problems, kind);
  const shape = given as Given<CommonFile> | null;
  checkUnique(
    shape?.volumes?.map((volume) => volume?.name),
    ['volumes'],
    'name',
    problems,
  );
  checkUnique(
    shape?.volumes?.map((volume) => volume?.path),
    ['volumes'],
    'path',
    problems,
  );
  checkJournal(shape?.journal, problems);
  checkEndpoint(shape?.metrics?.listen, ['metrics', 'listen'], problems);
  const own = shape?.volumes?.findIndex((volume) => volume?.path !== undefined && volume.path === shape.journal?.path);
  if (own !== undefined && own >= 0) {
    problems.add(['volumes', own, 'path'], 'is the journal too', 'give the journal a file or device of its own');
  }
  checkLog(shape, problems);
  return { given, problems };
}

/** What is written to a log device would destroy them. */
function checkLog(shape: Given<CommonFile> | null, problems: Problems): void {
  const path = shape?.log?.path;
  if (path === undefined) return;
  const isVolume = shape?.volumes?.some((volume) => volume?.path === path) === true;
  if (!isVolume && path !== shape?.journal?.path) return;
  const what = isVolume ? 'is one of the volumes too' : 'is the journal too';
  problems.add(['log', 'path'], what, 'give the log device a file or device of its own');
}

function checkJournal(journal: Given<CommonFile['journal']> | undefined, problems: Problems): void {
  const { size, window } = journal ?? {};
  if (size === undefined || window === undefined) return;
  const [ring, part] = [bytesOf(size), bytesOf(window)];
  const range = `from ${sizeText(RING_BYTES_MIN)} to ${sizeText(RING_BYTES_MAX)}`;
  if (ring < RING_BYTES_MIN || ring > RING_BYTES_MAX) {
    problems.add(['journal', 'size'], `must be ${range}, but is ${size}`, 'write for example size: 1G');
  } else if (part < WINDOW_BYTES_MIN || (part > ring && window !== WINDOW_DEFAULT)) {
    const most = `from ${sizeText(WINDOW_BYTES_MIN)} to the journal's size`;
    problems.add(
      ['journal', 'window'],
      `must be ${most}, but is ${window}`,
      'leave it out, or write for example window: 64M',
    );
  }
}

function checkTargets(
  targets: Given<readonly { readonly name: string; readonly connect: string }[]> | undefined,
  at: KeyPath,
  problems: Problems,
): void {
  targets?.forEach((target, index) => checkEndpoint(target?.connect, [...at, index, 'connect'], problems));
  checkUnique(
    targets?.map((target) => target?.name),
    at,
    'name',
    problems,
  );
}

function checkUnique(
  values: readonly (string | undefined)[] | undefined,
  list: KeyPath,
  key: string,
  problems: Problems,
): void {
  values?.forEach((value, index) => {
    if (value === undefined || values.indexOf(value) === index) return;
    problems.add([...list, index, key], `${value} is there twice`, 'give each its own');
  });
}

export function checkEndpoint(text: string | undefined, at: KeyPath, problems: Problems): void {
  if (text === undefined) return;
  const { fault } = parseEndpoint(text);
  if (fault) problems.add(at, fault.what, fault.mend);
}

function checkListen(text: string | undefined, problems: Problems): void {
  if (text?.startsWith('unix:') === true) {
    if (text === 'unix:')
      problems.add(['export', 'listen'], 'names no socket', 'write for example unix:/run/stillbeat/erp.nbd');
    return;
  }
  checkEndpoint(text, ['export', 'listen'], problems);
}

function common(from: CommonFile, file: string, socketName: string): CommonSettings {
  const windowBytes = roundToWindow(bytesOf(from.journal.window), bytesOf(from.journal.size));
  const ringBytes = Math.floor(bytesOf(from.journal.size) / windowBytes) * windowBytes;
  return {
    file,
    group: from.group,
    keyFile: from.keyFile,
    journal: { path: from.journal.path, ringBytes, windowBytes },
    volumes: from.volumes,
    exportKeyFile: from.export.keyFile ?? null,
    log: from.log ? { path: from.log.path, records: recordsOf(from.log.records) } : null,
    metricsListen: from.metrics.listen === undefined ? null : endpointOf(from.metrics.listen),
    controlSocket: from.control.socket ?? `/run/stillbeat/${socketName}.sock`,
    history: null,
  };
}

const recordsOf = (records: { readonly path: string; readonly size: string | number } | undefined) =>
  records ? { path: records.path, bytes: bytesOf(records.size) } : null;

/** The window is a whole number of pages, and no more than the ring. */
const roundToWindow = (window: number, ring: number): number => Math.floor(Math.min(window, ring) / 4096) * 4096;

const UNITS: Readonly<Record<string, number>> = { K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 };

/** A size that the schema has let through. */
export function bytesOf(size: string | number): number {
  if (typeof size === 'number') return size;
  const unit = UNITS[size.slice(-1)];
  return unit === undefined ? Number(size) : Number(size.slice(0, -1)) * unit;
}

function sizeText(bytes: number): string {
  const unit = ['G', 'M', 'K'].find((one) => bytes % (UNITS[one] ?? 1) === 0);
  return unit === undefined ? String(bytes) : `${bytes / (UNITS[unit] ?? 1)}${unit}`;
}

export function endpointOf(text: string): Endpoint {
  const parsed = parseEndpoint(text);
  assert(parsed.fault === undefined, 'the endpoint was checked');
  return parsed.value;
}

export const listenOf = (text: string): NbdListen =>
  text.startsWith('unix:') ? { path: text.slice('unix:'.length) } : endpointOf(text);
