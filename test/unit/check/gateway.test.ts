/** [AG10] What `check` says of the gateway, and of a firewall of the host that stands in its way. */
import { expect, test } from 'vitest';
import { firewallFindings, routeFinding } from '../../../agent/check/gateway.ts';

const chain = (table: string, hook: string, policy: string) => ({
  chain: { family: 'ip', table, name: 'FORWARD', hook, policy },
});
const findings = (...chains: readonly unknown[]) =>
  firewallFindings(JSON.stringify({ nftables: [{ metainfo: {} }, ...chains] }), 'stillbeat_gw_sb0', 'sb0', 'eth0');

test('[AG10] a forward chain of the host that drops by default is told, with its name and the mend', () => {
  expect(findings(chain('filter', 'forward', 'drop'), chain('filter', 'input', 'drop'))).toEqual([
    {
      name: 'gateway.firewall',
      level: 'warning',
      what: "the host's firewall drops forwarded packets by default (nftables ip filter FORWARD)",
      mend: 'allow sb0 to eth0 there, and established connections back',
    },
  ]);
});

test('[AG10] our own table, and chains that accept, are no hindrance', () => {
  const all = findings(chain('stillbeat_gw_sb0', 'forward', 'drop'), chain('filter', 'forward', 'accept'), {
    table: {},
  });
  expect(all.map(({ level }) => level)).toEqual(['ok']);
  expect(firewallFindings('{}', 't', 'sb0', 'eth0').map(({ level }) => level)).toEqual(['ok']);
});

test('[AG10] another agent of this host that offers is told, before anything else', () => {
  const all = findings(chain('stillbeat_gw_sb1', 'forward', 'accept'), chain('filter', 'forward', 'drop'));
  expect(all).toMatchObject([
    { level: 'warning', mend: 'one agent of a host can offer: set offer: false for the other' },
  ]);
  expect(all[0]?.what).toContain('stillbeat_gw_sb1');
});

test('[AG10] without nft a node cannot offer, and is told why', () => {
  const [finding] = firewallFindings(new Error('there is no nft here: install nftables'), 't', 'sb0', 'eth0');
  expect(finding).toMatchObject({ level: 'warning', name: 'gateway.nft' });
  expect(finding?.what).toContain('install nftables');
});

test('[AG10] an uplink without a route outside is told', () => {
  expect(routeFinding('eth0', true).level).toBe('ok');
  expect(routeFinding('eth0', false)).toMatchObject({ level: 'warning', name: 'gateway.route' });
});
