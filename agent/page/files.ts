/** The files of the page: its own beside this program, the charts from their package. All are known before anybody asks. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PageFile {
  readonly type: string;
  readonly content: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** The folder of the package: from the compiled program, and from its source in tests. */
const ROOT = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../../' : '../../../', import.meta.url));

/** By the path that a browser asks for. */
export function pageFiles(): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  const add = (url: string, path: string): void => {
    const type = TYPES[path.split('.').at(-1) ?? ''];
    if (type !== undefined) files.set(url, { type, content: readFileSync(path) });
  };
  const folder = join(ROOT, 'agent', 'page', 'static');
  for (const name of readdirSync(folder)) add(name === 'index.html' ? '/' : `/${name}`, join(folder, name));
  // Compiled modules import each other by relative paths, so they are served as they lie.
  for (const place of ['page/browser', 'view']) {
    const compiled = join(ROOT, 'dist', 'agent', place);
    for (const name of readdirSync(compiled)) {
      if (name.endsWith('.js')) add(`/${place}/${name}`, join(compiled, name));
    }
  }
  const charts = dirname(createRequire(import.meta.url).resolve('uplot'));
  add('/page/browser/uplot.js', join(charts, 'uPlot.esm.js'));
  add('/uplot.css', join(charts, 'uPlot.min.css'));
  return files;
}
