/** What `primary.mode: route` needs of the other settings. */
import type { Given, SettingsFile } from './given.ts';
import type { Problems } from './problems.ts';

export function checkBypass(given: Given<SettingsFile>, problems: Problems): void {
  const { mode, interface: name, bypass } = given.primary ?? {};
  if (mode !== 'route') return;
  const path = ['primary', 'interface'];
  if (name === undefined && !problems.knows(path)) {
    problems.add(path, 'missing, and mode route needs it', 'write for example interface: eth0');
  }
  for (const [index, rule] of (given.types ?? []).entries()) {
    const type = rule?.type;
    if (rule?.minBytes === undefined || type === undefined || type === 'heartbeat') continue;
    if (!(bypass ?? []).includes(type)) continue;
    // Small packets would go one way and large ones of the same connection the other.
    const mend = `name the flow by protocol and port, or take ${type} out of primary.bypass`;
    problems.add(['types', index, 'minBytes'], `${type} goes past the agent, where no length is known`, mend);
  }
}
