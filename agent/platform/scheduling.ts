/** How the kernel schedules this process's threads. */
import { readdirSync, readFileSync } from 'node:fs';

const SCHED_RR = 2;
/** Field 41 of /proc/<pid>/stat, counted from behind the name. */
const POLICY_FIELD = 41 - 3;

/** Whether a thread of this process that bears the name has got the scheduler's round robin class. */
export function runsInRealTime(name: string): boolean {
  try {
    return readdirSync('/proc/self/task').some((task) => {
      const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
      if (!stat.includes(`(${name})`)) return false;
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[POLICY_FIELD]) === SCHED_RR;
    });
  } catch {
    // A thread that ended between the two looks: nothing to tell.
    return true;
  }
}
