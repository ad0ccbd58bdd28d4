/** The version of this program, as its package says it. */
import { createRequire } from 'node:module';

/** From the compiled program, and from its source in tests. */
const PACKAGE = import.meta.url.endsWith('.ts') ? '../../package.json' : '../../../package.json';
export const VERSION: string = (createRequire(import.meta.url)(PACKAGE) as { version: string }).version;
