/** What a state is restored onto: a file or block device that nobody uses, or the NBD export of a running source. */
import { closeSync, fdatasyncSync, openSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AgentError } from '../base/errors.ts';
import { isRecording, lockPath, recordingsIn } from '../history/store/files.ts';
import { NbdClient } from '../nbd/client.ts';
import { isNbdUri, parseNbdUri, type NbdUri } from '../nbd/uri.ts';
import { bytesOf, readAll, writeAll } from '../platform/file-bytes.ts';
import { holdVolume, type VolumeHold } from '../platform/volume-hold.ts';
import { readExportKeys } from '../settings/export-keys.ts';

/** Blocks that are compared, and the alignment of what is written. */
export const BLOCK_BYTES = 4096;

export interface Onto {
  /** Read and written at once. */
  readonly stepBytesMax: number;
  /** To be told rather than written. */
  readonly canZero: boolean;
  /** Said behind what was written. */
  readonly advice: string;
  read(offset: number, into: Uint8Array): Promise<void>;
  write(offset: number, bytes: Uint8Array): Promise<void>;
  zero(offset: number, length: number): Promise<void>;
  flush(): Promise<void>;
  close(): void;
}

/** The volume that is restored, and as large as it has to be. */
export interface Wanted {
  readonly name: string;
  readonly bytes: number;
}

/** `recording`: that is restored from. Throws an AgentError that says what to do when it is not there, in use, or does not fit. */
export async function openOnto(where: string, wanted: Wanted, recording: string): Promise<Onto> {
  if (isNbdUri(where)) return openExport(parseNbdUri(where), wanted);
  refuseRecorded(where, recording);
  return openPath(where, wanted);
}

/** What recordings are made of is no volume: by whatever name, it would be one no more. */
function refuseRecorded(path: string, recording: string): void {
  const found = statSync(path, { throwIfNoEntry: false });
  // Whoever opens it says what is wrong.
  if (!found) return;
  const store = dirname(recording);
  const known = [recording, ...recordingsIn(store).map((name) => join(store, name))];
  let owner: string | undefined;
  for (let at = realpathSync(path); owner === undefined && at !== dirname(at); at = dirname(at))
    if (isRecording(at) && statSync(lockPath(at), { throwIfNoEntry: false })) owner = at;
  owner ??= known.find((folder) =>
    readdirSync(folder).some((name) => {
      const file = statSync(join(folder, name), { throwIfNoEntry: false });
      return file?.ino === found.ino && file.dev === found.dev;
    }),
  );
  if (owner === undefined) return;
  const mend = 'name the volume that is to have the state; nothing was written';
  throw new AgentError('volume', `${path} is a part of recording ${owner}: ${mend}`);
}

async function openExport(uri: NbdUri, { name, bytes }: Wanted): Promise<Onto> {
  const { text, endpoint } = uri;
  const named = async <T>(asked: Promise<T>): Promise<T> =>
    asked.catch((error: unknown) => {
      if (!(error instanceof AgentError)) throw error;
      throw new AgentError(error.reason, `${text}: ${error.message}`, { cause: error });
    });
  const client = await named(NbdClient.open({ endpoint, name: uri.name, key: keyOf(uri) }));
  const unfit = misfit(client, name, bytes);
  if (unfit !== null) {
    client.close();
    throw new AgentError('volume', `${text} ${unfit}; nothing was written`);
  }
  return {
    stepBytesMax: client.payloadBytesMax - (client.payloadBytesMax % BLOCK_BYTES),
    canZero: client.canZero,
    advice: '',
    read: async (offset, into) => named(client.read(offset, into)),
    write: async (offset, content) => named(client.write(offset, content)),
    zero: async (offset, length) => named(client.zero(offset, length)),
    flush: async () => named(client.flush()),
    close: () => client.close(),
  };
}

function misfit(client: NbdClient, name: string, bytes: number): string | null {
  if (client.size !== bytes) return `has ${client.size} bytes, and volume ${name} ${bytes}: name its own export`;
  if (client.isReadOnly) return 'is read-only: name the export of the source that runs';
  const takesBlocks = client.blockBytesMin <= BLOCK_BYTES && client.payloadBytesMax >= BLOCK_BYTES;
  return takesBlocks ? null : `takes no blocks of ${BLOCK_BYTES} bytes: name the export of the source that runs`;
}

function keyOf({ text, tls }: NbdUri): { readonly identity: string; readonly key: Uint8Array } | null {
  if (!tls) return null;
  const key = readExportKeys(tls.keyFile).get(tls.identity);
  if (!key) throw new AgentError('key', `${text}: ${tls.keyFile} holds no key of ${tls.identity}`);
  return { identity: tls.identity, key };
}

function openPath(path: string, { name, bytes }: Wanted): Onto {
  const hold = holdForRestore(path);
  const fd = openSync(path, 'r+');
  const close = (): void => {
    closeSync(fd);
    hold.close();
  };
  const there = bytesOf(fd);
  if (there < bytes) {
    close();
    throw new AgentError('volume', `${path} has ${there} bytes, and volume ${name} ${bytes}: name one as large`);
  }
  return {
    stepBytesMax: Infinity,
    canZero: false,
    advice:
      'if a source has this volume: its journal, its copies and its recording know nothing of this; begin it with a new journal, ' +
      'or restore through its export instead\n',
    read: async (offset, into) => readAll(fd, offset, into),
    write: async (offset, content) => writeAll(fd, offset, content),
    zero: async (offset, length) => writeAll(fd, offset, new Uint8Array(length)),
    flush: async () => fdatasyncSync(fd),
    close,
  };
}

/** Nobody else may write it, and no mirror may have it: what is restored would go past it. */
function holdForRestore(path: string): VolumeHold {
  try {
    const mend = 'end that first; nothing was written (onto the volume of a source that runs: name its export)';
    return holdVolume(`volume to restore onto: ${path}`, path, mend);
  } catch (error) {
    if (error instanceof AgentError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new AgentError('volume', `${path} cannot be opened (${code}): check the path`, { cause: error });
  }
}
