/**
 * Data by another way than control (OS7): into files of a folder that monitor and recorder both reach, each file written beside
 * its name and renamed when it is durable. The recorder takes them, and removes them.
 */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { dataFileName, isDataFile } from '../wire/data-file.ts';

const FULL_BYTES = 16 * 1024 * 1024;

export class DataFolderWriter {
  readonly #folder: string;
  readonly #session: number;
  readonly #failed: (error: Error) => void;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #number = 0;
  #isWriting = false;
  #isClosed = false;

  private constructor(folder: string, session: number, failed: (error: Error) => void) {
    this.#folder = folder;
    this.#session = session;
    this.#failed = failed;
  }

  static async open(folder: string, session: number, failed: (error: Error) => void): Promise<DataFolderWriter> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new DataFolderWriter(folder, session, failed);
  }

  get isFull(): boolean {
    return this.#bytes >= FULL_BYTES;
  }

  put(data: Uint8Array): void {
    this.#pieces.push(data);
    this.#bytes += data.length;
    if (!this.#isWriting) void this.#write();
  }

  /** What the recorder has not taken of it counts for nothing any more. */
  close(): void {
    this.#isClosed = true;
    if (!this.#isWriting) void this.#clear();
  }

  async #clear(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names) {
      if (isDataFile(name, this.#session)) await rm(join(this.#folder, name), { force: true }).catch(() => {});
    }
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#pieces.length > 0 && !this.#isClosed) {
        const pieces = this.#pieces.splice(0);
        const path = join(this.#folder, dataFileName(this.#session, ++this.#number));
        const file = await open(`${path}.new`, 'w', 0o600);
        try {
          for (const piece of pieces) await file.writeFile(piece);
          await file.datasync();
        } finally {
          await file.close();
        }
        await rename(`${path}.new`, path);
        this.#bytes -= pieces.reduce((sum, { length }) => sum + length, 0);
      }
    } catch (error) {
      this.#failed(error as Error);
    } finally {
      this.#isWriting = false;
      if (this.#isClosed) void this.#clear();
    }
  }
}
