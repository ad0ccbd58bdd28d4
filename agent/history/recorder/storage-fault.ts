/** What an operator is told of a recording that cannot be written now. */
import { AgentError } from '../../base/errors.ts';
import { IS_FULL } from '../store/reserve.ts';

/** Null for what is neither of the storage nor for an operator. */
export function storageFault(folder: string, error: unknown): string | null {
  if (error instanceof AgentError) return error.message;
  const { code } = error as { readonly code?: string };
  if (code === undefined) return null;
  const mend = IS_FULL.has(code) ? 'its storage is full: make room there' : 'check its storage';
  return `recording ${folder} cannot be written (${code}): ${mend}`;
}
