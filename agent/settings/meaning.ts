/**
 * What the schema cannot say: values that are well-formed and yet make no sense, alone or beside others. Everything
 * here works on settings that may be incomplete, and keeps quiet about what is already known to be wrong.
 */
import { parseEndpoint, parseInterfaceAddress, parsePorts, type Parsed } from './address.ts';
import { messagesSocketBeside } from './derive.ts';
import { each, type Given, type SettingsFile } from './given.ts';
import { checkBypass } from './meaning-bypass.ts';
import { checkPeers } from './meaning-peers.ts';
import type { KeyPath, Problems } from './problems.ts';
import type { InterfaceAddress } from './settings.ts';

/** IPv6 demands this of every link (RFC 8200); the kernel removes IPv6 addresses from a smaller one. */
const IPV6_MTU_MIN = 1280;

export function checkMeaning(given: Given<SettingsFile>, problems: Problems): void {
  checkKey(given, problems);
  const subnets = checkVnic(given, problems);
  checkLater(given, problems);
  checkPrimary(given, problems);
  checkBypass(given, problems);
  const { listen } = given.metrics ?? {};
  if (listen !== undefined) take(parseEndpoint(listen), ['metrics', 'listen'], problems);
  checkPeers(given, subnets, problems);
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

/** What the settings can already say and this release cannot yet do. */
function checkLater(given: Given<SettingsFile>, problems: Problems): void {
  const copy = given.storage?.copy;
  if (copy !== undefined && copy !== 'shared') {
    problems.add(['storage', 'copy'], `${copy} comes with a later release`, 'use shared');
  }
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
