/** Whose rules the routing rules on a host are. */
import { expect, test } from 'vitest';
import { tablesOf } from '../../../agent/bypass/names.ts';
import { hasOthers } from '../../../agent/bypass/rules.ts';
import { gatewayNames } from '../../../agent/gateway/names.ts';

const rule = (table: number | string, protocol = '119') => ({ priority: 700, table: String(table), protocol });

test('only rules of the bypass of another interface are those of others', () => {
  const tables = tablesOf('stillbeat0');
  const own = [rule(tables.past), rule(tables.inside)];
  const host = [rule('main', 'kernel'), rule('main'), { priority: 5, protocol: '119' }];
  expect(hasOthers([...own, ...host, rule(gatewayNames('stillbeat0').table)], tables)).toBe(false);
  expect(hasOthers([...own, rule(tablesOf('stillbeat1').inside)], tables)).toBe(true);
});
