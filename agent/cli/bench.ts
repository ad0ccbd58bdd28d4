/** `stillbeat bench [latency|throughput|failover|idle|fairness|growth|messages|bypass|corosync|nbd|mirror|history|inspect|page] [--json]`: figures, each beside its limit of the same run. */
import { parseArgs } from 'node:util';
import { AgentError } from '../base/errors.ts';
import { bypass } from '../bench/bypass.ts';
import { corosync } from '../bench/corosync.ts';
import { failover } from '../bench/failover.ts';
import { fairness } from '../bench/fairness.ts';
import { type BenchDocument, type Figure, figureLines } from '../bench/figure.ts';
import { growth } from '../bench/growth.ts';
import { history } from '../bench/history.ts';
import { idle } from '../bench/idle.ts';
import { inspect } from '../bench/inspect.ts';
import { latency } from '../bench/latency.ts';
import { messages } from '../bench/messages.ts';
import { mirror } from '../bench/mirror.ts';
import { nbd } from '../bench/nbd.ts';
import { page } from '../bench/page.ts';
import { throughput } from '../bench/throughput.ts';
import { paint, wantsColour } from '../demo/terminal.ts';

type Part = (say: (line: string) => void) => Promise<Figure[]>;

const PARTS: Readonly<Record<string, Part>> = {
  latency,
  throughput,
  failover,
  idle,
  fairness,
  growth,
  messages,
  bypass,
  corosync,
  nbd,
  mirror,
  history,
  inspect,
  page,
};

export async function bench(argv: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: argv,
    options: { json: { type: 'boolean' } },
    allowPositionals: true,
  });
  const wanted = positionals.length > 0 ? positionals : Object.keys(PARTS);
  const unknown = wanted.find((name) => !Object.hasOwn(PARTS, name));
  if (unknown !== undefined) {
    throw new AgentError('usage', `no benchmark ${unknown}: there are ${Object.keys(PARTS).join(', ')}`);
  }
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const figures: Figure[] = [];
  for (const name of wanted) figures.push(...((await PARTS[name]?.(say)) ?? []));
  const document: BenchDocument = { name: wanted.join('+'), figures };
  if (values.json === true) process.stdout.write(`${JSON.stringify(document)}\n`);
  else
    process.stdout.write(`${figureLines(figures, paint(wantsColour(process.stdout.isTTY, process.env))).join('\n')}\n`);
  return 0;
}
