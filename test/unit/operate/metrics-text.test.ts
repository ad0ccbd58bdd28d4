import { describe, expect, test } from 'vitest';
import { metricsTable } from '../../../agent/operate/metrics-table.ts';
import { metricsText } from '../../../agent/operate/metrics-text.ts';

const COUNTS = {
  events: new Map<string, number>(),
  changes: new Map<string, number>(),
  hookRuns: new Map<string, number>(),
};
const peer = (node: string, more: object = {}) => ({ node, path: 'storage', override: 'auto', ...more });

async function linesOf(document: object): Promise<string[]> {
  const whole = { primary: {}, gateway: { use: [] }, ...document };
  return (await metricsText(whole, metricsTable(COUNTS)))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
}

describe('a row of the table', () => {
  test('with a peer and a word in its path has a sample for each, under both labels', async () => {
    const queues = { heartbeat: { sent: 1 }, data: { sent: 2 }, bulk: { sent: 3 } };
    const lines = await linesOf({ peers: [peer('b', { queues }), peer('c', { queues })] });
    expect(lines.filter((line) => line.startsWith('stillbeat_queue_sent_packets_total'))).toEqual([
      'stillbeat_queue_sent_packets_total{peer="b",type="heartbeat"} 1',
      'stillbeat_queue_sent_packets_total{peer="b",type="data"} 2',
      'stillbeat_queue_sent_packets_total{peer="b",type="bulk"} 3',
      'stillbeat_queue_sent_packets_total{peer="c",type="heartbeat"} 1',
      'stillbeat_queue_sent_packets_total{peer="c",type="data"} 2',
      'stillbeat_queue_sent_packets_total{peer="c",type="bulk"} 3',
    ]);
  });

  test('of a word has 1 for the one that holds, and nothing while none is known', async () => {
    const outside = (lines: readonly string[]) => lines.filter((line) => line.includes('gateway_outside'));
    expect(outside(await linesOf({ gateway: { use: [], outside: 'out' } }))).toEqual([
      'stillbeat_gateway_outside{state="good"} 0',
      'stillbeat_gateway_outside{state="out"} 1',
      'stillbeat_gateway_outside{state="unknown"} 0',
    ]);
    expect(outside(await linesOf({ gateway: { use: [], outside: null } }))).toEqual([]);
  });

  test('of milliseconds is served in seconds, and what is not known is left out', async () => {
    const known = await linesOf({ peers: [peer('b', { knowsUs: false, network: { rttMs: 1.5 } })] });
    expect(known).toContain('stillbeat_peer_network_round_trip_seconds{peer="b"} 0.0015');
    expect(known).toContain('stillbeat_peer_knows_us{peer="b"} 0');
    const unknown = (await linesOf({ peers: [peer('b', { knowsUs: null, network: { rttMs: null } })] })).join('\n');
    expect(unknown).not.toMatch(/round_trip|knows_us/);
  });

  test('of a text says whether there is one', async () => {
    const corosync = (problem: string | null) => linesOf({ corosync: { problem, fits: null } });
    expect(await corosync('no')).toContain('stillbeat_corosync_conf_unusable 1');
    expect(await corosync(null)).toContain('stillbeat_corosync_conf_unusable 0');
    expect((await corosync(null)).join('\n')).not.toContain('token_fits');
  });
});

test('each peer of gateway.use says whether it is the one', async () => {
  const lines = await linesOf({ gateway: { use: ['b', 'c'], using: 'c', chosen: 'c' } });
  expect(lines).toContain('stillbeat_gateway_using{peer="b"} 0');
  expect(lines).toContain('stillbeat_gateway_using{peer="c"} 1');
});

test('an agent whose switch thread hangs is served without what only that knows', async () => {
  const lines = await linesOf({ switch: 'not answering', queues: null, peers: [], vnic: { frames: null } });
  expect(lines).toContain('stillbeat_switch_up 0');
  expect(lines.join('\n')).not.toMatch(/write_buffer|interface_packets/);
});
