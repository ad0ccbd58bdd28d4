/** Whether each peer's host can be reached over the primary network. Never an error: a cut network is what the agent is for. */
import { spawnSync } from 'node:child_process';
import ping from 'ping';
import type { PeerSettings, Settings } from '../settings/settings.ts';
import { ok, warning, type Finding } from './finding.ts';

const PING_TIMEOUT_S = 1;

export async function checkPeers({ peers }: Settings): Promise<Finding[]> {
  if (peers.every(({ primary }) => primary === null)) return [];
  if (spawnSync('ping', ['-V'], { stdio: 'ignore' }).error !== undefined) {
    const what = 'the program ping is missing: a dead agent cannot be told from a dead network';
    return [warning('peer.ping', what, 'apt-get install iputils-ping')];
  }
  const asked = await Promise.all(peers.map(probe));
  return asked.flat();
}

async function probe({ node, primary }: PeerSettings): Promise<Finding[]> {
  if (primary === null) return [];
  const answer = await ping.promise.probe(primary.host, { timeout: PING_TIMEOUT_S, min_reply: 1 });
  return [reachFinding(node, primary.host, answer.alive ? answer.time : null)];
}

/** `timeMs`: of the answer; null when none came. */
export function reachFinding(node: string, host: string, timeMs: number | string | null): Finding {
  const name = 'peer.reachable';
  if (timeMs !== null) return ok(name, `${node} (${host}) answers ping in ${timeMs} ms`);
  const mend = 'see that it is up, the address is right and ICMP is allowed between you';
  return warning(name, `${node} (${host}) does not answer ping`, mend);
}
