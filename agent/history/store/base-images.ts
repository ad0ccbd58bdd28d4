/** What the volumes are, as a monitor sends it, into the base. */
import { open, type FileHandle } from 'node:fs/promises';
import type { DataHeader } from '../wire/data.ts';
import { writeAll } from './append.ts';
import { putSumsBehind } from './base-sums.ts';
import { basePath, sumsPath, type Base } from './files.ts';

/** The payload is empty where it is all zeros. */
export interface Image {
  readonly header: DataHeader;
  readonly payload: Uint8Array;
}

/** Durable when it resolves. */
export async function writeImages(
  into: { readonly folder: string; readonly sizes: readonly number[]; readonly base: Base },
  images: readonly Image[],
): Promise<void> {
  const touched = new Map<string, FileHandle>();
  const file = async (path: string): Promise<FileHandle> => {
    const known = touched.get(path) ?? (await open(path, 'r+'));
    touched.set(path, known);
    return known;
  };
  try {
    for (const { header, payload } of images) {
      // What is zeros there is a hole.
      if (payload.length === 0) continue;
      const { volume, offset } = header;
      const base = await file(basePath(into.folder, volume));
      await writeAll(base, [payload], offset);
      if (into.base.sums !== true) continue;
      const part = { offset, payload, volumeBytes: into.sizes[volume] ?? 0 };
      await putSumsBehind({ base, sums: await file(sumsPath(into.folder, volume)) }, part);
    }
    for (const one of touched.values()) await one.datasync();
  } finally {
    for (const one of touched.values()) await one.close();
  }
}
