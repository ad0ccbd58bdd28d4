/** Every command with its arguments: what `help`, each command's `--help`, its refusals and README say. */
import { AgentError } from '../base/errors.ts';

export const SYNOPSES = {
  demo: '[--nodes N | --copy local|command|mirror] [--seconds S] [--json]',
  format:
    'VOLUME (--cluster NAME --nodes a,b[,c…] [--slots N] [--size 64M] [--force] | --add a[,b…] | --remove a[,b…]) [--json]',
  check: '--config FILE [--json]',
  run: '--config FILE',
  status: '[--config FILE | --socket PATH] [--json] [--watch]',
  report: '--config FILE [--since T] [--until T] [--output FILE|-] [--force]',
  path: 'PEER auto|storage|network [--config FILE | --socket PATH] [--json]',
  copy: '--config FILE [--peer NAME] [--position N] [--within MS] [--json]',
  key: 'new|add|use|drop|show FILE',
  send: 'PEER [--type heartbeat|data|bulk] [--channel C] [--config FILE | --socket PATH] [TEXT | -]',
  receive: '[--channel C] [--count N] [--config FILE | --socket PATH] [--json]',
  inspect:
    'VOLUME [--follow | --verify] [--json | --pcap FILE|-] [--content] [--since T] [--until T] [--node N] [--type T] ' +
    '[--address A[/BITS]] [--port P] [--key-file FILE | --config FILE]',
  diff: 'SEND RECEIVE [--json] [--key-file FILE | --config FILE]',
  mirror:
    'source --config FILE | target --config FILE | status [--json] [--watch] [--config FILE | --socket PATH] | ' +
    'checkpoint [--json] | takeover [--force] | failback [--discard] | handover | ' +
    'pause TARGET | resume TARGET | resync TARGET [--in-place] | verify [TARGET] [--json]',
  history:
    'record --config FILE | list | at TIME [--digest] | restore --at TIME VOLUME|nbd://HOST:PORT/NAME [--volume NAME] [--yes] | ' +
    'serve --at TIME [--listen ADDRESS:PORT|unix:PATH] [--key-file FILE | --open] [--overlay SIZE] | diff TIME1 TIME2 | prune --before TIME [--yes]; ' +
    '(--config FILE | --store FOLDER) [--monitor NAME] [--json]',
  bench:
    '[latency|throughput|failover|idle|fairness|growth|messages|bypass|corosync|nbd|mirror|history|inspect|page] [--json]',
} as const satisfies Readonly<Record<string, string>>;

export type CommandName = keyof typeof SYNOPSES;

export const isCommand = (name: string): name is CommandName => Object.hasOwn(SYNOPSES, name);

/** The command as it is typed. */
export const usageOf = (name: CommandName): string => `stillbeat ${name} ${SYNOPSES[name]}`;

/** All commands, one line each, arguments in a column. */
export function commandLines(): string[] {
  return Object.entries(SYNOPSES).map(([name, synopsis]) => `stillbeat ${name.padEnd('format'.length)} ${synopsis}`);
}

/** Bad usage as one line: what is wrong, and how it is meant. */
export function usageError(name: CommandName, what: unknown): AgentError {
  const text = what instanceof Error ? what.message : String(what);
  const line = (text.split('\n')[0] ?? '').replace(/\.$/, '');
  return new AgentError('usage', `${name}: ${line}; usage: ${usageOf(name)}`);
}
