/** What Pacemaker shows an operator: `crm_mon --one-shot --output-as=xml`, as far as the tests look at it. */

export interface FailedAction {
  readonly node: string;
  /** Such as `stillbeat_monitor_10000`. */
  readonly operation: string;
  /** How it ended: `error`, `OCF_DEGRADED` … */
  readonly status: string;
  /** What the resource agent said. */
  readonly reason: string;
}

export interface CrmMon {
  /** Nodes that are online, and neither unclean nor in standby. */
  readonly online: readonly string[];
  /** Node attributes by node and name. */
  readonly attributes: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** By the id of a resource the nodes on which it is started; nothing else is known of it there. */
  readonly started: Readonly<Record<string, readonly string[]>>;
  readonly failures: readonly FailedAction[];
  /** What Pacemaker has fenced or tried to. */
  readonly fencings: number;
}

export const CRM_MON = ['crm_mon', '--one-shot', '--output-as=xml'] as const;

const attribute = (tag: string, name: string): string => new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1] ?? '';
const inside = (xml: string, name: string): string => new RegExp(`<${name}[ >].*?</${name}>`, 's').exec(xml)?.[0] ?? '';

export function parseCrmMon(xml: string): CrmMon {
  const online = [...inside(xml, 'nodes').matchAll(/<node [^>]*>/g)].flatMap(([tag]) => {
    const well = attribute(tag, 'online') === 'true' && !/ (standby|unclean|pending|shutdown)="true"/.test(tag);
    return well ? [attribute(tag, 'name')] : [];
  });
  const attributes: Record<string, Record<string, string>> = {};
  for (const [, node = '', list = ''] of inside(xml, 'node_attributes').matchAll(
    /<node name="([^"]*)"[^/>]*>(.*?)<\/node>/gs,
  )) {
    const tags = [...list.matchAll(/<attribute [^>]*>/g)];
    attributes[node] = Object.fromEntries(tags.map(([tag]) => [attribute(tag, 'name'), attribute(tag, 'value')]));
  }
  const started: Record<string, string[]> = {};
  for (const [, tag = '', nodes = ''] of inside(xml, 'resources').matchAll(
    /(<resource [^>]*[^/]>)(.*?)<\/resource>/gs,
  )) {
    if (attribute(tag, 'role') !== 'Started' || attribute(tag, 'failed') === 'true') continue;
    const names = [...nodes.matchAll(/<node name="([^"]*)"/g)].map(([, name = '']) => name);
    (started[attribute(tag, 'id')] ??= []).push(...names);
    started[attribute(tag, 'id')]?.sort();
  }
  const failures = [...inside(xml, 'failures').matchAll(/<failure [^>]*>/g)].map(([tag]) => ({
    node: attribute(tag, 'node'),
    operation: attribute(tag, 'op_key'),
    status: attribute(tag, 'exitstatus'),
    reason: attribute(tag, 'exitreason'),
  }));
  const fencings = inside(xml, 'fence_history').match(/<fence_event /g)?.length ?? 0;
  return { online, attributes, started, failures, fencings };
}
