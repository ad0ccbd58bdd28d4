/** The kernel's lists of routes, as they are in /proc/net, and what is read out of them. */
import { expect, test } from 'vitest';
import { gatewayNames } from '../../../agent/gateway/names.ts';
import { routesOver } from '../../../agent/gateway/outside-watch.ts';

const IPV4 = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
e0	00000000	FE09A8C0	0003	0	0	0	00000000	0	0	0
e0	00000A0A	FD09A8C0	0003	0	0	0	0000FFFF	0	0	0
t0	00004D0A	00000000	0001	0	0	0	00FFFFFF	0	0	0
e0	0009A8C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
p0	00000000	00000000	0001	0	0	0	00000000	0	0	0
`;
const IPV6 = `fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001       e1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd500000000000000000000000000004 00000400 00000001 00000000 00000003       e1
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
`;

test('the next routers of an interface, each once and in their own order of bytes', () => {
  expect(routesOver('e0', IPV4, IPV6)).toEqual({ leads: true, routers: ['192.168.9.254', '192.168.9.253'] });
  expect(routesOver('e1', IPV4, IPV6)).toEqual({ leads: true, routers: ['fd50:0000:0000:0000:0000:0000:0000:0004'] });
});

test('a default route without a router leads outside; a subnet alone, or no interface at all, does not', () => {
  expect(routesOver('p0', IPV4, IPV6)).toEqual({ leads: true, routers: [] });
  for (const name of ['t0', 'lo', 'e9']) expect(routesOver(name, IPV4, IPV6).leads).toBe(false);
  expect(routesOver('e0', '', '')).toEqual({ leads: false, routers: [] });
});

test('what a gateway makes on the host is named by the interface alone, and stays before the main table', () => {
  expect(gatewayNames('sb0')).toEqual(gatewayNames('sb0'));
  expect(gatewayNames('sb0').table).not.toBe(gatewayNames('sb1').table);
  expect(gatewayNames('a-b:c').nftTable).toBe('stillbeat_gw_a_b_c');
  for (let i = 0; i < 1000; i++) {
    const { rules, rulesEnd } = gatewayNames(`sb${i}`);
    expect(rules).toBeGreaterThanOrEqual(20_000);
    expect(rulesEnd).toBeLessThanOrEqual(32_766);
  }
});
