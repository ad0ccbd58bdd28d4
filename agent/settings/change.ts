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
  'storage.limits',
  'storage.flush',
  'storage.pollMs',
  'queues',
  'gateway',
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
    if (LIVE.has(key)) continue;
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value);
    for (const [name, below] of isGroup ? Object.entries(value) : [['', value]]) {
      const path = name === '' ? key : `${key}.${String(name)}`;
      if (!LIVE.has(path)) found.set(path, JSON.stringify(below));
    }
  }
  return found;
}
