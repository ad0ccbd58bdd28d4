/**
 * What the schema cannot say: values that are well-formed and yet make no sense, alone or beside others. Everything
 * here works on settings that may be incomplete, and keeps quiet about what is already known to be wrong.
 */
import { isLoopback, parseEndpoint, parseInterfaceAddress, parsePorts, type Parsed } from './address.ts';
import { messagesSocketBeside } from './derive.ts';
import { each, type Given, type SettingsFile } from './given.ts';
import { checkBypass } from './meaning-bypass.ts';
import { checkCopy } from './meaning-copy.ts';
import { checkGateway } from './meaning-gateway.ts';
import { checkPeers } from './meaning-peers.ts';
import type { KeyPath, Problems } from './problems.ts';
import type { InterfaceAddress } from './settings.ts';

/** IPv6 demands this of every link (RFC 8200); the kernel removes IPv6 addresses from a smaller one. */
const IPV6_MTU_MIN = 1280;

export function checkMeaning(given: Given<SettingsFile>, problems: Problems): void {
  checkKey(given, problems);
  const subnets = checkVnic(given, problems);
  checkCopy(given, problems);
  checkPrimary(given, problems);
  checkBypass(given, problems);
  const { listen } = given.metrics ?? {};
  if (listen !== undefined) take(parseEndpoint(listen), ['metrics', 'listen'], problems);
  checkPage(given, problems);
  checkPeers(given, subnets, problems);
  checkGateway(given, subnets, problems);
  checkTypes(given, problems);
  checkSockets(given, problems);
}

/** The value, or undefined after telling what is wrong with it. */
export function take<T>(parsed: Parsed<T>, path: KeyPath, problems: Problems): T | undefined {
  if (!parsed.fault) return parsed.value;
  problems.add(path, parsed.fault.what, parsed.fault.mend);
  return undefined;
}

function checkKey(given: Given<SettingsFile>, problems: Problems): void {
  if (problems.knows(['keyFile']) || problems.knows(['unauthenticated'])) return;
  const open = given.unauthenticated === true;
  if (open && given.keyFile !== undefined) {
    problems.add(['unauthenticated'], 'true, and keyFile is there as well', 'remove one of the two');
  }
  if (!open && given.keyFile === undefined) {
    const mend =
      'write for example keyFile: /etc/stillbeat/cluster.key (or unauthenticated: true to run open to anybody)';
    problems.add(['keyFile'], 'missing', mend);
  }
}

/** The subnets of the virtual network, or null when not all of them are known. */
function checkVnic(given: Given<SettingsFile>, problems: Problems): readonly InterfaceAddress[] | null {
  const path = ['vnic', 'address'];
  const subnets: InterfaceAddress[] = [];
  let complete = given.vnic?.address !== undefined;
  if (Array.isArray(given.vnic?.address) && given.vnic.address.includes(undefined)) complete = false;
  for (const { text, at } of each(given.vnic?.address)) {
    const subnet = take(parseInterfaceAddress(text), [...path, ...at], problems);
    if (subnet === undefined) complete = false;
    else if (subnets.some(({ address }) => address === subnet.address)) {
      problems.add([...path, ...at], `${subnet.address} is there twice`, 'remove one of them');
    } else subnets.push(subnet);
  }
  const { mtu } = given.vnic ?? {};
  if (mtu !== undefined && mtu < IPV6_MTU_MIN && subnets.some(({ family }) => family === 6)) {
    problems.add(['vnic', 'mtu'], `${mtu} is too small for IPv6`, `write ${IPV6_MTU_MIN} or more`);
  }
  if (given.vnic?.name !== undefined && given.vnic.name === given.primary?.interface) {
    problems.add(
      ['vnic', 'name'],
      `${given.vnic.name} is the primary interface`,
      'give the virtual one a name of its own',
    );
  }
  return complete ? subnets : null;
}

function checkPrimary(given: Given<SettingsFile>, problems: Problems): void {
  const { mode, listen, probe } = given.primary ?? {};
  const path = ['primary', 'listen'];
  if (listen !== undefined) take(parseEndpoint(listen), path, problems);
  else if (mode !== undefined && mode !== 'none' && !problems.knows(path)) {
    const mend = 'write for example listen: 192.168.50.1:7788, or mode: none to use the storage only';
    problems.add(path, `missing, and mode ${mode} needs it`, mend);
  }
  const { stableForMs, stableForMaxMs } = probe ?? {};
  if (stableForMs !== undefined && stableForMaxMs !== undefined && stableForMaxMs < stableForMs) {
    const what = `${stableForMaxMs} is less than stableForMs (${stableForMs})`;
    problems.add(['primary', 'probe', 'stableForMaxMs'], what, `write ${stableForMs} or more`);
  }
}

function checkTypes(given: Given<SettingsFile>, problems: Problems): void {
  for (const [index, rule] of (given.types ?? []).entries()) {
    if (rule?.port === undefined) continue;
    const path = ['types', index, 'port'];
    take(parsePorts(rule.port), path, problems);
    if (rule.protocol === 'icmp') problems.add(path, 'icmp has no ports', 'remove port or change protocol');
  }
}

/** Whoever reads the page knows the cluster, and may look into its packets. */
function checkPage(given: Given<SettingsFile>, problems: Problems): void {
  const { serve, listen, tokenFile } = given.page ?? {};
  const path = ['page', 'listen'];
  if (listen === undefined || serve === false) return;
  const endpoint = take(parseEndpoint(listen), path, problems);
  if (endpoint === undefined || isLoopback(endpoint.host) || tokenFile !== undefined) return;
  if (problems.knows(['page', 'tokenFile'])) return;
  const mend = 'write tokenFile: /etc/stillbeat/page.token (made by "stillbeat key new"), or listen: 127.0.0.1:9478';
  problems.add(path, `${listen} is open to other hosts, and there is no tokenFile`, mend);
}

const SOCKET_PATH_MAX = 107;

function checkSockets(given: Given<SettingsFile>, problems: Problems): void {
  const control = given.control?.socket ?? (given.node && `/run/stillbeat/${given.node}.sock`);
  if (control === undefined || problems.knows(['control', 'socket'])) return;
  const path = ['messages', 'socket'];
  const socket = given.messages?.socket ?? messagesSocketBeside(control);
  if (socket === control) problems.add(path, 'is the control socket', 'give it a path of its own');
  if (given.messages?.socket === undefined && socket.length > SOCKET_PATH_MAX && !problems.knows(path)) {
    problems.add(path, `left out, and ${socket} is too long for a socket`, 'write a path of at most 107 characters');
  }
}
