/**
 * What of the settings a running agent takes over, and what makes another agent of it: the interface, the send volume, the
 * node's name, the mode of the network, and limits that every thread has reckoned with since it began.
 */
import type { Settings } from './settings.ts';

/** Taken over while the agent runs. All else restarts it. */
const LIVE: ReadonlySet<string> = new Set([
  'peers',
  'types',
  'primary.probe',
  'primary.bypass',
  'storage.limits',
  'storage.flush',
  'storage.pollMs',
  'queues',
  'gateway',
  'hooks',
  'messages',
  'metricsListen',
  'page',
  'events',
  'corosyncConf',
]);

/** The keys that differ and that a running agent cannot take over; empty when there are none. */
export function restartKeys(from: Settings, to: Settings): string[] {
  const [before, after] = [flatten(from), flatten(to)];
  return [...new Set([...before.keys(), ...after.keys()])].filter((key) => before.get(key) !== after.get(key));
}

/** Each key down to the second level, with its value as text; live ones left out. */
function flatten(settings: Settings): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(settings) as [string, unknown][]) {
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value);
    if (!isGroup) found.set(key, JSON.stringify(value));
    else for (const [name, below] of Object.entries(value)) found.set(`${key}.${name}`, JSON.stringify(below));
  }
  for (const key of found.keys()) if (LIVE.has(key) || LIVE.has(key.split('.')[0] ?? '')) found.delete(key);
  return found;
}
