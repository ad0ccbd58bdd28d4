/** The primary network on this host: the interface, its carrier and MTU, the address and port to listen on. */
import { createSocket } from 'node:dgram';
import { existsSync } from 'node:fs';
import systeminformation from 'systeminformation';
import { interfaceOf } from '../platform/interface-mtu.ts';
import { endpointText, familyOf, inSubnet } from '../settings/address.ts';
import type { Endpoint, Settings } from '../settings/settings.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { agentAnswers, codeOf, readText } from './system.ts';

/** The least IPv6 packet, and around it the IPv6 and UDP headers and at most 64 bytes of tunnel. */
const MTU_MIN = 1280 + 40 + 8 + 64;

export async function checkPrimary(settings: Settings): Promise<Finding[]> {
  const { mode, listen } = settings.primary;
  if (mode === 'none' || listen === null) return [ok('primary.mode', 'none: the storage is always used')];
  const holder = interfaceOf(listen.host);
  const name = settings.primary.interface;
  const looked = name ?? holder;
  const address = listenFinding(listen, holder, name);
  const findings = [
    ...(name === null ? [unwatched(holder)] : []),
    ...(looked === null ? [] : await interfaceFindings(looked)),
    address,
    ...loopFindings(settings),
  ];
  // No port of an address that is not here can be free.
  if (address.level === 'error') return findings;
  return [...findings, portFinding(listen, await bindFault(listen), await agentAnswers(settings.controlSocket))];
}

function unwatched(holder: string | null): Finding {
  const what = 'primary.interface is not set: a lost carrier is noticed only by lost probes';
  return warning('primary.interface', what, `set primary.interface: ${holder ?? 'the interface that has the address'}`);
}

/** What the kernel says about an interface; null for each file that cannot be read (carrier, while it is down). */
export interface InterfaceState {
  readonly exists: boolean;
  readonly flags: string | null;
  readonly carrier: string | null;
  readonly mtu: string | null;
}

async function interfaceFindings(name: string): Promise<Finding[]> {
  const folder = `/sys/class/net/${name}`;
  const state: InterfaceState = {
    exists: existsSync(folder),
    flags: readText(`${folder}/flags`),
    carrier: readText(`${folder}/carrier`),
    mtu: readText(`${folder}/mtu`),
  };
  const findings = stateFindings(name, state);
  if (findings.some(({ level }) => level === 'error')) return findings;
  const all = await systeminformation.networkInterfaces();
  const link = (Array.isArray(all) ? all : [all]).find(({ iface }) => iface === name);
  return [...findings, ...(link === undefined ? [] : linkFindings(name, link.speed, link.duplex))];
}

const IFF_UP = 1;

export function stateFindings(name: string, state: InterfaceState): Finding[] {
  const what = 'primary.interface';
  if (!state.exists) return [error(what, `there is no interface ${name}`, 'correct primary.interface (see: ip link)')];
  if ((Number(state.flags) & IFF_UP) === 0) return [error(what, `${name} is down`, `ip link set ${name} up`)];
  const carrier =
    state.carrier === '0'
      ? warning('primary.carrier', `${name} has no carrier`, 'plug the cable in, or switch the port on')
      : ok('primary.carrier', `${name} has a carrier`);
  return [ok(what, `${name} is up`), carrier, mtuFinding(name, Number(state.mtu))];
}

export function mtuFinding(name: string, mtu: number): Finding {
  const what = `${name} has an MTU of ${mtu}`;
  if (mtu >= MTU_MIN) return ok('primary.mtu', what);
  const mend = `ip link set ${name} mtu 1500, where the network carries that`;
  return warning('primary.mtu', `${what}: packets travel in many small pieces`, mend);
}

/** Virtual interfaces tell no speed. */
export function linkFindings(name: string, speed: number | null, duplex: string): Finding[] {
  if (duplex === 'half') {
    const what = `${name} runs at half duplex`;
    return [warning('primary.link', what, 'let both ends of the cable negotiate')];
  }
  return speed !== null && speed > 0 ? [ok('primary.link', `${name} runs at ${speed} Mbit/s`)] : [];
}

const ANY = ['0.0.0.0', '::'];

/** `holder`: the interface that has the address. */
export function listenFinding(listen: Endpoint, holder: string | null, wanted: string | null): Finding {
  const name = 'primary.listen';
  if (ANY.includes(listen.host)) return ok(name, `${listen.host} stands for every address of this host`);
  if (holder === null) {
    const mend = `correct primary.listen, or ip address add ${listen.host}/… dev ${wanted ?? 'the interface'}`;
    return error(name, `${listen.host} is not an address of this host`, mend);
  }
  if (wanted !== null && holder !== wanted) {
    const what = `${listen.host} is on ${holder}, but ${wanted} is the interface that is watched`;
    return warning(name, what, `set primary.interface: ${holder}`);
  }
  return ok(name, `${listen.host} is on ${holder}`);
}

/** The tunnel's own packets would go into the tunnel if the virtual subnet covered the primary addresses. */
export function loopFindings({ vnic, primary, peers }: Settings): Finding[] {
  const hosts = [primary.listen, ...peers.map((peer) => peer.primary)].flatMap((endpoint) => endpoint?.host ?? []);
  const inside = hosts.find((host) => {
    const family = familyOf(host);
    return family !== 0 && vnic.addresses.some((subnet) => inSubnet(host, family, subnet));
  });
  if (inside === undefined) return [];
  const what = `${inside} lies inside the virtual network: the tunnel could swallow its own packets`;
  return [warning('primary.subnet', what, 'give vnic.address a subnet of its own')];
}

/** Why a UDP socket cannot be bound here; null when it can. */
export function bindFault({ host, port }: Endpoint): Promise<string | null> {
  return new Promise((resolve) => {
    const six = familyOf(host) === 6;
    const socket = createSocket({ type: six ? 'udp6' : 'udp4', ipv6Only: six });
    const end = (fault: string | null) => socket.close(() => resolve(fault));
    socket.once('error', (caught) => end(codeOf(caught)));
    socket.bind({ address: host, port, exclusive: true }, () => end(null));
  });
}

export function portFinding(listen: Endpoint, fault: string | null, agentRuns: boolean): Finding {
  const name = 'primary.port';
  const where = `UDP ${endpointText(listen)}`;
  if (fault === null) return ok(name, `${where} is free`);
  if (fault === 'EADDRINUSE') {
    if (agentRuns) return ok(name, `${where} is used by the agent that runs already`);
    const mend = `stop what uses it (ss -lunp sport = :${listen.port}), or choose another port`;
    return error(name, `${where} is taken`, mend);
  }
  if (fault === 'EACCES') return error(name, `${where} needs root`, 'run as root, or choose a port from 1024');
  return error(name, `${where} cannot be listened on (${fault})`, 'correct primary.listen');
}
