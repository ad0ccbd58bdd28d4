/** What commands share: one line on bad usage, sizes, and where the control socket is. */
import { loadSettings } from '../settings/load.ts';
import { usageError, type CommandName } from './commands.ts';

export function requireConfig(command: CommandName, config: string | undefined): string {
  if (config !== undefined) return config;
  throw usageError(command, '--config is missing');
}

/** `--socket PATH`, or the socket that `--config FILE` names. */
export function controlSocket(command: CommandName, values: { socket?: string; config?: string }): string {
  if (values.socket !== undefined) return values.socket;
  return loadSettings(requireConfig(command, values.config)).controlSocket;
}
