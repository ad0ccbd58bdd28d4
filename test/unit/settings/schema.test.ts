import { format, resolveConfig } from 'prettier';
import { describe, expect, test } from 'vitest';
import { settingsSchema } from '../../../agent/settings/schema.ts';
import type { Schema } from '../../../agent/settings/schema-words.ts';

const EXPORTED = new URL('../../../config/settings.schema.json', import.meta.url).pathname;

/** Every key of the schema with its path, items of lists included. */
function keysOf(schema: Schema, path = ''): { path: string; schema: Schema }[] {
  const children = Object.entries(schema.properties ?? {}).map(([key, child]) => ({ path: `${path}.${key}`, child }));
  if (schema.items?.properties) children.push({ path: `${path}[]`, child: schema.items });
  return children.flatMap(({ path: at, child }) => [{ path: at, schema: child }, ...keysOf(child, at)]);
}

const KEYS = keysOf(settingsSchema);
const isGroup = (schema: Schema) => schema.properties !== undefined;

describe('the settings schema', () => {
  // After a change of the schema: run this test with `-u`.
  test('is exported for editors as config/settings.schema.json', async () => {
    const text = await format(JSON.stringify(settingsSchema), { ...(await resolveConfig(EXPORTED)), parser: 'json' });
    await expect(text).toMatchFileSnapshot(EXPORTED);
  });

  test.each(KEYS)('$path says what it is for', ({ schema }) => {
    expect(schema.description).toMatch(/^[A-Z0-9a-z].{8,}\.$/);
  });

  test.each(KEYS.filter(({ schema }) => !isGroup(schema)))('$path has a default or an example', ({ schema }) => {
    expect(schema.default !== undefined || (schema.examples?.length ?? 0) > 0).toBe(true);
  });

  test.each(KEYS.filter(({ path, schema }) => /Ms$|Bytes$|mtu$|PerSecond$|pollMs\./.test(path) && !isGroup(schema)))(
    '$path names its unit',
    ({ schema }) => {
      expect(schema.description).toMatch(/^(Milliseconds|Bytes|Writes)\b/);
    },
  );

  test.each(KEYS.filter(({ schema }) => isGroup(schema)))('$path knows all its keys', ({ schema }) => {
    expect(schema.additionalProperties).toBe(false);
  });
});
