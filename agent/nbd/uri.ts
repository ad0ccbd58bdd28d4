/** An export's address as NBD's clients write it: `nbd://HOST:PORT/NAME`, `nbd+unix:///NAME?socket=PATH`, and with `nbds` over TLS. */
import { AgentError } from '../base/errors.ts';
import type { NbdEndpoint } from './server.ts';

export interface NbdUri {
  /** As it was written. */
  readonly text: string;
  readonly endpoint: NbdEndpoint;
  readonly name: string;
  /** Over TLS: whose key it is, and the file that holds it. */
  readonly tls: { readonly identity: string; readonly keyFile: string } | null;
}

const PORT_DEFAULT = 10_809;
const SCHEME = /^nbds?(\+\w+)?:/;
const URI =
  /^nbd(s?)(\+unix)?:\/\/(?:([^@/?#]*)@)?(\[[^\]/?#]+\]|[^:/?#]*)(?::(\d{1,5}))?(?:\/([^?#]*))?(?:\?([^#]*))?$/;

export const isNbdUri = (text: string): boolean => SCHEME.test(text);

/** Throws an AgentError that says how it is meant. */
export function parseNbdUri(text: string): NbdUri {
  const [whole, secure, unix, identity = '', host = '', port, path = '', query = ''] = URI.exec(text) ?? [];
  if (whole === undefined) throw mistake(text, 'is no address of an export');
  const socket = parameter(text, query, 'socket');
  const endpoint = unix === undefined ? tcpOf(text, host, port) : unixOf(text, host, socket);
  const keyFile = parameter(text, query, 'tls-psk-file');
  if (secure === '') return { text, endpoint, name: decoded(text, path), tls: null };
  if (identity === '' || keyFile === '') {
    throw new AgentError('usage', `${text} lacks whose key: write nbds://IDENTITY@HOST:PORT/NAME?tls-psk-file=PATH`);
  }
  return { text, endpoint, name: decoded(text, path), tls: { identity: decoded(text, identity), keyFile } };
}

function tcpOf(text: string, host: string, port = String(PORT_DEFAULT)): NbdEndpoint {
  const number = Number(port);
  if (host === '' || number < 1 || number > 65_535) throw mistake(text, 'names no host and port');
  return { host: host.replace(/^\[(.*)\]$/, '$1'), port: number };
}

function unixOf(text: string, host: string, socket: string): NbdEndpoint {
  if (host !== '' || socket === '') throw mistake(text, 'names no socket');
  return { path: socket };
}

/** Empty when it is not there. A plus sign is one here: paths have them. */
function parameter(text: string, query: string, name: string): string {
  const found = query.split('&').find((part) => part.startsWith(`${name}=`));
  return found === undefined ? '' : decoded(text, found.slice(name.length + 1));
}

function decoded(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw mistake(text, 'has a "%" that is no escape');
  }
}

const mistake = (text: string, what: string): AgentError =>
  new AgentError('usage', `${text} ${what}: write nbd://HOST:PORT/NAME or nbd+unix:///NAME?socket=PATH`);
