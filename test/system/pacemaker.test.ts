/**
 * README's section on Pacemaker, command by command, in a real cluster of three nodes: the hook that sets node attributes by the
 * path, a location rule that asks for them, the resource agent that watches stillbeat, and the advice on corosync's token.
 * corosync has the network beside the cluster address, as in the second-link sample: a killed agent costs no node.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { CorosyncBed } from '../../agent/bench/corosync-bed.ts';
import { secondLink, type Variant } from '../../agent/bench/corosync-conf.ts';
import { eventually } from '../support/cluster.ts';
import { type CrmMon, CRM_MON, parseCrmMon } from '../support/crm-mon.ts';
import { furnish, pacemakerGuide } from '../support/pacemaker-guide.ts';

/** A minute between two tries is what an operator wants; here the same is seen sooner. */
const GUIDE = pacemakerGuide({ 'interval="10s"': 'interval="2s"', 'value="60s"': 'value="2s"' });
/** The agents have a network to tell of; whether they are on it says when the bed is ready. */
const VARIANT: Variant = {
  ...secondLink(),
  name: 'second link, mode tunnel',
  agent: { primary: { probe: { stableForMaxMs: 3000 } }, ...GUIDE.settings },
  linksStay: true,
};

/** Pacemaker takes a second or three for what these tests wait for; on a busy machine many more. */
const SHOWN_MS_MAX = 45_000;
/** crm_mon is work for the machine that the cluster runs on. */
const LOOK_MS = 150;

let bed: CorosyncBed;
beforeAll(async () => {
  bed = await CorosyncBed.open(VARIANT, { tag: 'pacemaker', furnish: async (room) => furnish(room, GUIDE) });
  for (const node of bed.nodes)
    await bed.exec(node, ['ln', '-s', bed.lab.settingsPath(node), '/etc/stillbeat/node.yaml']);
}, 120_000);
/** Also after a failure, which the next test shall not pay for. */
afterEach(async () => bed.lab.heal());
afterAll(async () => bed?.close());

const look = async (node = 'a'): Promise<CrmMon> => parseCrmMon(await bed.exec(node, CRM_MON));

/** Waits until crm_mon shows what `found` asks for; a failure tells what it showed last. */
async function untilShown(what: string, found: (shown: CrmMon) => unknown): Promise<CrmMon> {
  let shown: CrmMon | null = null;
  return eventually(what, SHOWN_MS_MAX, async () => {
    shown = await look();
    if (found(shown)) return shown;
    await delay(LOOK_MS);
    return null;
  }).catch((error: unknown) => {
    throw new Error(`crm_mon showed ${JSON.stringify(shown)}`, { cause: error });
  });
}

/** Waits until each node has these values of an attribute. */
async function untilValues(name: string, values: Readonly<Record<string, string | undefined>>): Promise<void> {
  await untilShown(`${name} is ${JSON.stringify(values)}`, ({ attributes }) =>
    Object.entries(values).every(([node, value]) => attributes[node]?.[name] === value),
  );
}

describe('the hook in a real Pacemaker', () => {
  test('started before Pacemaker it does not fail', async () => {
    for (const node of bed.nodes) {
      const { events = [] } = await bed.lab.status(node);
      expect((events as { kind: string }[]).filter(({ kind }) => kind === 'hook-failed')).toEqual([]);
    }
  });

  test('[AG12] tells each node of its part in a cut, and of the return, in attributes; by the rule a resource leaves the node whose network is out', async () => {
    await bed.exec('a', ['sh', '-c', GUIDE.rule]);
    for (const other of ['a', 'b']) await bed.lab.cut('silent', { between: [other, 'c'] });
    await untilValues('stillbeat-path-c', { a: 'storage', b: 'storage' });
    await untilValues('stillbeat-path-b', { c: 'storage' });
    await untilValues('stillbeat-path', { a: 'storage', b: 'storage', c: 'storage' });
    await untilValues('stillbeat-network-peers', { a: '1', b: '1', c: '0' });
    await untilShown('probe has left c', ({ started }) => ['a', 'b'].includes(started['probe']?.join() ?? ''));

    // Now no node has a network, and none is better than another: the resource is where it would be without the rule.
    await bed.lab.cut('silent');
    await untilValues('stillbeat-network-peers', { a: '0', b: '0', c: '0' });
    await untilShown('probe is back on c', ({ started }) => started['probe']?.join() === 'c');

    await bed.lab.heal();
    await untilValues('stillbeat-path-c', { a: 'network', b: 'network' });
    await untilValues('stillbeat-path', { a: 'network', b: 'network', c: 'network' });
    await untilValues('stillbeat-network-peers', { a: '2', b: '2', c: '2' });
    await untilShown('probe is on c', ({ started }) => started['probe']?.join() === 'c');
    // What follows is not about the rule: on a busy machine a late probe may be a cut to it.
    await bed.exec('a', ['cibadmin', '--delete', '--xml-text', '<rsc_location id="probe-on-network"/>']);
  });

  test("needs Pacemaker's group, and needs no more", async () => {
    const hook = async (group: string): Promise<string> => {
      const user = ['setpriv', '--reuid=61234', '--regid=61234', group, '--no-new-privs', '--bounding-set=-all'];
      const news = [
        'STILLBEAT_PEER=x',
        'STILLBEAT_TO=network',
        'STILLBEAT_WORST=network',
        'STILLBEAT_PATHS=b=network c=network',
      ];
      return bed.exec('b', [...user, 'env', ...news, '/etc/stillbeat/pacemaker-attribute.sh']);
    };
    await expect(hook('--clear-groups')).rejects.toThrow(/Permission denied/);
    await hook('--groups=haclient');
    await untilValues('stillbeat-path-x', { b: 'network' });
  });
});

describe('the resource agent in a real Pacemaker', () => {
  test('is known by its metadata, starts on every node and keeps the attributes', async () => {
    const metadata = await bed.exec('a', ['crm_resource', '--show-metadata', 'ocf:stillbeat:stillbeat']);
    expect(metadata).toContain('<parameter name="config" required="1"');
    await bed.exec('a', ['sh', '-c', GUIDE.clone]);
    await untilShown('the clone runs everywhere', ({ started }) => started['stillbeat']?.join() === 'a,b,c');
    // As a restart of Pacemaker would leave it.
    for (const name of ['stillbeat-path', 'stillbeat-network-peers']) {
      await bed.exec('b', ['attrd_updater', '--name', name, '--delete']);
    }
    await untilValues('stillbeat-path', { a: 'network', b: 'network', c: 'network' });
    await untilValues('stillbeat-network-peers', { a: '2', b: '2', c: '2' });
    expect((await look()).failures).toEqual([]);
  });

  test('fails where the agent was killed, harms nobody, and is back when the agent is', async () => {
    const sinceMs = Date.now();
    const movesBefore = bed.whereabouts.length;
    const { pid } = await bed.lab.status('b');
    await bed.exec('b', ['kill', '-KILL', String(pid)]);
    const { failures } = await untilShown('the monitor fails on b', (shown) =>
      shown.failures.some(({ node, operation }) => node === 'b' && operation === 'stillbeat_monitor_2000'),
    );
    expect(failures.find(({ operation }) => operation.includes('monitor'))?.reason).toMatch(
      /^the stillbeat agent of \/etc\/stillbeat\/node\.yaml does not answer: see its log$/,
    );
    const gone = await untilShown('it runs on a and c only', ({ started }) => started['stillbeat']?.join() === 'a,c');
    await untilValues('stillbeat-network-peers', { a: '1', b: undefined, c: '1' });
    expect(gone).toMatchObject({ online: ['a', 'b', 'c'], started: { probe: ['c'] }, fencings: 0 });

    await bed.startAgent('b');
    // Nobody cleans up after it: the failure runs out, and Pacemaker tries again.
    await untilShown('the clone runs everywhere again', ({ started }) => started['stillbeat']?.join() === 'a,b,c');
    await untilValues('stillbeat-network-peers', { a: '2', b: '2', c: '2' });
    expect(bed.events(sinceMs).filter(({ kind }) => kind === 'membership')).toEqual([]);
    expect(bed.whereabouts).toHaveLength(movesBefore);
    expect((await look()).fencings).toBe(0);
  });

  test('with degrade=true Pacemaker shows a path by storage until a cleanup, and moves nothing', async () => {
    const resource = ['crm_resource', '--resource', 'stillbeat'];
    const path = async (to: string) =>
      bed.exec('a', ['stillbeat', 'path', 'c', to, '--config', '/etc/stillbeat/node.yaml']);
    await bed.exec('a', [...resource, '--set-parameter', 'degrade', '--parameter-value', 'true']);
    await path('storage');
    const degraded = (shown: CrmMon) => shown.failures.filter(({ status }) => status === 'OCF_DEGRADED');
    const [failure, ...others] = degraded(
      await untilShown('the monitor is degraded on a', (shown) => degraded(shown)[0]),
    );
    expect(failure?.node).toBe('a');
    expect(others).toEqual([]);
    expect(failure?.reason).toMatch(/^the worst path to a peer is (storage|returning): see stillbeat status$/);
    const shown = await untilShown('all are started', ({ started }) => started['stillbeat']?.join() === 'a,b,c');
    expect(shown.started['probe']).toEqual(['c']);
    await path('auto');
    await untilValues('stillbeat-path', { a: 'network' });
    expect(degraded(await look())).toEqual([failure]);
    await bed.exec('a', [...resource, '--cleanup']);
    await untilShown('nothing is shown any more', (after) => after.failures.length === 0);
  });
});

describe("the advice on corosync's token", () => {
  const CONF = '/etc/corosync/corosync.conf';
  const change = async (script: string) => bed.exec('a', ['sed', '--in-place', script, CONF]);
  async function line(): Promise<string> {
    const status = await bed.exec('a', ['stillbeat', 'status', '--config', '/etc/stillbeat/node.yaml']);
    return /^corosync .*$/m.exec(status)?.[0] ?? '';
  }

  test("is by the node's own corosync.conf: it fits, is too short, cannot be read", async () => {
    const { corosync } = await bed.lab.status('a');
    expect(corosync).toMatchObject({ nodes: 3, configuredTokenMs: 3000, problem: null });
    await change('s/token: 3000/token: 300000/');
    expect(await line()).toMatch(/^corosync +token 300000 ms fits {2}\([\d.]+ ms one way at worst, 3 nodes/);
    await change('s/token: 300000/token: 400/');
    expect(await line()).toMatch(
      /^corosync +WARNING: token 400 ms is too short {2}\([\d.]+ ms one way at worst, 3 nodes/,
    );
    await change('s/token: 400/token: soon/');
    expect(await line()).toBe(
      `corosync   WARNING: ${CONF}: totem.token is soon, not a number of milliseconds: no advice on its token`,
    );
  });
});
