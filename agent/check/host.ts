/** The host itself: Node, memory, processors, rights to priority, the clock, the control socket's place. */
import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import systeminformation from 'systeminformation';
import type { Settings } from '../settings/settings.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { agentAnswers, CAP_SYS_NICE, codeOf, hasCapability, readText, sizeText } from './system.ts';

/** `engines` of package.json. */
const NODE_MIN = [20, 19] as const;

/** What an agent may use (150 MB), and as much again so that the host is not driven into its swap. */
const MEMORY_AVAILABLE_BYTES_MIN = 300 * 1024 * 1024;

export async function checkHost(settings: Settings): Promise<Finding[]> {
  const { available } = await systeminformation.mem();
  return [
    nodeFinding(process.versions.node),
    memoryFinding(available),
    processorFinding(availableParallelism()),
    priorityFinding(readText('/proc/self/status') ?? ''),
    clockFinding(await clockSynchronised()),
    await controlFinding(settings.controlSocket),
  ];
}

export function nodeFinding(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [majorMin, minorMin] = NODE_MIN;
  if (major > majorMin || (major === majorMin && minor >= minorMin)) return ok('host.node', `Node ${version}`);
  return error('host.node', `Node ${version} is too old`, `install Node ${majorMin}.${minorMin} or later`);
}

export function memoryFinding(availableBytes: number): Finding {
  const what = `${sizeText(availableBytes)} of memory available`;
  if (availableBytes >= MEMORY_AVAILABLE_BYTES_MIN) return ok('host.memory', what);
  return warning('host.memory', `only ${what}`, `free some: the agent wants ${sizeText(MEMORY_AVAILABLE_BYTES_MIN)}`);
}

export function processorFinding(count: number): Finding {
  if (count > 1) return ok('host.processors', `${count} processors`);
  const what = 'one processor: the agent’s threads wait for each other';
  return warning('host.processors', what, 'give the machine a second one');
}

export function priorityFinding(status: string): Finding {
  if (hasCapability(status, CAP_SYS_NICE)) return ok('host.priority', 'the agent may raise its priority');
  const what = 'the agent may not raise its priority (CAP_SYS_NICE): heartbeats wait behind other work';
  return warning('host.priority', what, 'run as root, or add CAP_SYS_NICE to the service');
}

export type Synchronised = 'yes' | 'no' | 'unknown';

/** Only a note: nothing that decides trusts clocks to agree. Times in reports and recorded batches are easier to compare. */
export function clockFinding(synchronised: Synchronised): Finding {
  if (synchronised === 'no') {
    const what = 'clock synchronised: no; times of different nodes will not compare';
    return warning('host.clock', what, 'start a time service (Debian: apt-get install chrony)');
  }
  return ok('host.clock', `clock synchronised: ${synchronised}`);
}

async function clockSynchronised(): Promise<Synchronised> {
  try {
    const asked = promisify(execFile)('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
      timeout: 2000,
    });
    const answer = (await asked).stdout.trim();
    if (answer === 'yes' || answer === 'no') return answer;
  } catch {
    // No systemd, or no bus to reach it by (containers).
  }
  return existsSync('/run/systemd/timesync/synchronized') ? 'yes' : 'unknown';
}

/** The control socket can be made, and no agent is there yet. */
async function controlFinding(path: string): Promise<Finding> {
  const name = 'host.control';
  if (await agentAnswers(path)) {
    return warning(name, `an agent runs already (${path} answers)`, 'stop it before starting another of this node');
  }
  try {
    if (existsSync(path) && !statSync(path).isSocket()) {
      return error(name, `${path} is there and not a socket`, 'move it away, or choose another control.socket');
    }
    const folder = nearestFolder(path);
    accessSync(folder, constants.W_OK | constants.X_OK);
    return ok(name, `${path} can be made`);
  } catch (caught) {
    const what = `${path} cannot be made (${codeOf(caught)})`;
    return error(name, what, 'run as root, or set control.socket to a path that may be written');
  }
}

/** The folder that is there and in which the missing ones would be made. */
function nearestFolder(path: string): string {
  const folder = dirname(path);
  return folder === path || existsSync(folder) ? folder : nearestFolder(folder);
}
