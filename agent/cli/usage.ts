/** What commands share: one line on bad usage, sizes, and where the control socket is. */
import { AgentError } from '../base/errors.ts';
import { loadSettings } from '../settings/load.ts';

export function requireConfig(command: string, config: string | undefined): string {
  if (config !== undefined) return config;
  throw new AgentError('usage', `stillbeat ${command} needs --config FILE`);
}

/** `--socket PATH`, or the socket that `--config FILE` names. */
export function controlSocket(command: string, values: { socket?: string; config?: string }): string {
  if (values.socket !== undefined) return values.socket;
  return loadSettings(requireConfig(command, values.config)).controlSocket;
}
