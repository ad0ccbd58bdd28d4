/**
 * Makes one file of each thread's program, in its place: a thread loads its modules anew each time it starts, and a hundred
 * small files take it longer than all else that it does to be ready. Packages stay where they are. Part of `npm run build`.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const folder = new URL('../dist/', import.meta.url).pathname;
for (const name of readdirSync(folder, { recursive: true }).filter((path) => /[/-]worker\.js$/.test(path))) {
  const file = join(folder, name);
  const bundle = await rolldown({ input: file, platform: 'node', external: /^[^./]/ });
  await bundle.write({ file, format: 'esm' });
}
