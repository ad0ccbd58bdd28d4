/** What commands share: one line on bad usage, sizes, and where the control socket is. */
import { AgentError } from '../base/errors.ts';
import { connect, type Client } from '../client/index.ts';
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

/** A connection to the agent's programs' socket: `--socket PATH`, or the one that `--config FILE` names. */
export async function connectPrograms(
  command: CommandName,
  values: { socket?: string; config?: string; channel?: string },
  limits: { count?: number } = {},
): Promise<Client> {
  const socket = values.socket ?? loadSettings(requireConfig(command, values.config)).messages.socket;
  try {
    return await connect({ socket, ...(values.channel === undefined ? {} : { channel: values.channel }), ...limits });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new AgentError('failed', `${why}; is the agent running? start it with "stillbeat run"`, { cause: error });
  }
}
