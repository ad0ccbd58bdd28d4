/** What serves the operator: the place for the figures, and the program for changes of a path. */
import { accessSync, constants, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { endpointText } from '../settings/address.ts';
import { KeyError, readKeyFile } from '../settings/key.ts';
import type { Endpoint, PageSettings, Settings } from '../settings/settings.ts';
import { error, ok, warning, type Finding } from './finding.ts';
import { agentAnswers, codeOf } from './system.ts';

export async function checkOperate(settings: Settings): Promise<Finding[]> {
  const { metricsListen, page, hooks, controlSocket } = settings;
  const findings: Finding[] = [];
  if (metricsListen !== null) {
    const fault = await listenFault(metricsListen);
    findings.push(metricsFinding(metricsListen, fault, fault !== null && (await agentAnswers(controlSocket))));
  }
  if (page !== null) {
    const fault = await listenFault(page.listen);
    findings.push(pageFinding(page, fault, fault !== null && (await agentAnswers(controlSocket))));
    if (page.tokenFile !== null) findings.push(tokenFinding(page.tokenFile));
  }
  if (hooks.onPath !== null) findings.push(hookFinding(hooks.onPath));
  return findings;
}

/** Why a TCP socket cannot listen here; null when it can. */
function listenFault({ host, port }: Endpoint): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (caught) => resolve(codeOf(caught)));
    server.listen({ host, port, ipv6Only: true }, () => server.close(() => resolve(null)));
  });
}

export function metricsFinding(listen: Endpoint, fault: string | null, agentRuns: boolean): Finding {
  const name = 'metrics.listen';
  const where = `TCP ${endpointText(listen)}`;
  if (fault === null) return ok(name, `${where} is free`);
  if (fault !== 'EADDRINUSE') return error(name, `${where} cannot be listened on (${fault})`, 'correct metrics.listen');
  if (agentRuns) return ok(name, `${where} is used, as it seems by the agent that runs already`);
  const mend = `stop what uses it (ss -ltnp sport = :${listen.port}), or choose another port`;
  return error(name, `${where} is taken`, mend);
}

/** The default's place stops nothing when another agent of this host has it; one that the settings name does. */
export function pageFinding({ listen, isDefault }: PageSettings, fault: string | null, agentRuns: boolean): Finding {
  const name = 'page.listen';
  const where = `TCP ${endpointText(listen)}`;
  if (fault === null) return ok(name, `${where} is free`);
  if (fault === 'EADDRINUSE' && agentRuns) {
    return ok(name, `${where} is used, as it seems by the agent that runs already`);
  }
  const what = fault === 'EADDRINUSE' ? `${where} is taken` : `${where} cannot be listened on (${fault})`;
  const mend = 'name another page.listen, or write serve: false';
  return isDefault ? warning(name, `${what}: no page will be served`, mend) : error(name, what, mend);
}

function tokenFinding(file: string): Finding {
  const name = 'page.tokenFile';
  try {
    readKeyFile(file);
    return ok(name, `${file} is readable by its owner only`);
  } catch (caught) {
    if (caught instanceof KeyError) return error(name, caught.what, caught.mend);
    throw caught;
  }
}

/** A hook that cannot run stops nothing: it is told at each change of a path. */
function hookFinding(program: string): Finding {
  const name = 'hooks.onPath';
  try {
    if (!statSync(program).isFile()) return warning(name, `${program} is no file`, 'name a program');
    accessSync(program, constants.X_OK);
    return ok(name, `${program} can be run`);
  } catch (caught) {
    const missing = codeOf(caught) === 'ENOENT';
    if (missing) return warning(name, `${program} is missing`, 'install it, or correct hooks.onPath');
    return warning(name, `${program} may not be run (${codeOf(caught)})`, `chmod +x ${program}`);
  }
}
