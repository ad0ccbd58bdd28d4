/**
 * Holds a settings file against the schema: fills in defaults and tells what does not fit, in the operator's words
 * instead of the validator's.
 */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import type { Given, SettingsFile } from './given.ts';
import { nearest } from './nearest.ts';
import { keyText, valueText, type KeyPath, type Problems } from './problems.ts';
import { settingsSchema } from './schema.ts';
import type { Schema } from './schema-words.ts';

/** A kind of settings file. */
export interface FileKind {
  readonly schema: Schema;
  /** A file to start from, as an operator finds it. */
  readonly example: string;
}

const AGENT_FILE: FileKind = { schema: settingsSchema, example: 'config/two-node.yaml' };

const compiled = new Map<FileKind, ValidateFunction>();

function validator(kind: FileKind): ValidateFunction {
  // Compiling takes some 20 ms, which `status` and `inspect` need not pay.
  const known = compiled.get(kind);
  if (known) return known;
  const ajv = new Ajv({ allErrors: true, verbose: true, useDefaults: true, allowUnionTypes: true });
  const made = ajv.compile(kind.schema);
  compiled.set(kind, made);
  return made;
}

/**
 * Checks `value` (changed in place): missing keys get their defaults, values that do not fit are told to `problems` and
 * taken out, so that what depends on them is not checked against nonsense. Null when it holds no keys at all.
 */
export function applySchema<File extends object = SettingsFile>(
  value: unknown,
  problems: Problems,
  kind: FileKind = AGENT_FILE,
): Given<File> | null {
  const validate = validator(kind);
  if (!validate(value)) tellAll(validate.errors ?? [], value, problems, kind);
  return typeof value === 'object' && !Array.isArray(value) ? (value as Given<File>) : null;
}

function tellAll(errors: readonly ErrorObject[], value: unknown, problems: Problems, kind: FileKind): void {
  // Misspelt keys first: the key they stand for is then not called missing as well.
  for (const error of errors)
    if (error.keyword === 'additionalProperties') tellUnknownKey(error, value, problems, kind);
  for (const error of errors) if (error.keyword === 'required') tellMissing(error, value, problems);
  const misfits = errors.filter(({ keyword, schemaPath }) => {
    return keyword !== 'additionalProperties' && keyword !== 'required' && !schemaPath.includes('/anyOf/');
  });
  for (const error of misfits) tellMisfit(error, value, problems, kind);
  for (const error of misfits) takeOut(value, pathOf(error.instancePath, value));
}

/** A JSON pointer as a key path; numbers only where there is a list, since a key may be a number too. */
function pathOf(pointer: string, root: unknown): (string | number)[] {
  const path: (string | number)[] = [];
  let node = root;
  for (const part of pointer.split('/').slice(1)) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    path.push(Array.isArray(node) ? Number(key) : key);
    node = (node as Record<string, unknown> | undefined)?.[key];
  }
  return path;
}

function takeOut(root: unknown, path: KeyPath): void {
  const last = path.at(-1);
  if (last === undefined) return;
  const parent = path.slice(0, -1).reduce<unknown>((node, key) => (node as Record<string, unknown>)?.[key], root);
  if (typeof parent === 'object' && parent !== null) (parent as Record<string, unknown>)[last] = undefined;
}

function tellUnknownKey(error: ErrorObject, root: unknown, problems: Problems, { schema }: FileKind): void {
  const group = pathOf(error.instancePath, root);
  const key = String(error.params['additionalProperty']);
  const known = Object.keys((error.parentSchema as Schema).properties ?? {});
  const near = nearest(key, known);
  if (near !== undefined) {
    problems.add([...group, key], 'unknown key', `did you mean ${near}?`);
    problems.excuse([...group, near]);
    return;
  }
  const elsewhere = placesOf(key, schema, []);
  const mend =
    elsewhere.length > 0 ? `its place is ${elsewhere.join(' or ')}` : `remove it; known here: ${known.join(', ')}`;
  problems.add([...group, key], 'unknown key', mend);
  if (elsewhere.length === 1) problems.excuse((elsewhere[0] ?? '').split('.'));
}

/** Where else the schema has a key of this name. */
function placesOf(key: string, schema: Schema, path: readonly string[]): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const here = [...path, name];
    return [...(name === key ? [keyText(here)] : []), ...placesOf(key, child, here)];
  });
}

function tellMissing(error: ErrorObject, root: unknown, problems: Problems): void {
  const key = String(error.params['missingProperty']);
  const path = [...pathOf(error.instancePath, root), key];
  if (problems.knows(path)) return;
  const schema = (error.parentSchema as Schema).properties?.[key] ?? {};
  problems.add(path, 'missing', mendOf(schema, key));
}

function tellMisfit(error: ErrorObject, root: unknown, problems: Problems, kind: FileKind): void {
  const path = pathOf(error.instancePath, root);
  if (problems.knows(path)) return;
  const schema = error.parentSchema as Schema;
  if (path.length === 0) {
    const is = error.data === null ? 'the file is empty' : 'the file does not hold keys and values';
    problems.add(path, is, `start from ${kind.example}`);
    return;
  }
  const what = `must be ${wanted(schema)}, but is ${valueText(error.data)}`;
  const key = String(path.at(-1));
  // A name made of digits is a number to YAML.
  const unquoted = schema.type === 'string' && (typeof error.data === 'number' || typeof error.data === 'boolean');
  problems.add(
    path,
    what,
    unquoted ? `if it is meant so, put it in quotes: "${valueText(error.data)}"` : mendOf(schema, key),
  );
}

/** What a value must be, in words. */
export function wanted(schema: Schema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.enum) return listed(schema.enum.map(String));
  if (schema.anyOf) return schema.anyOf.map(wanted).join(', or ');
  const range = schema.minimum === undefined ? '' : ` from ${schema.minimum} to ${schema.maximum}`;
  const words: Record<string, string> = {
    integer: `a whole number${range}`,
    number: `a number${range}`,
    boolean: 'true or false',
    object: 'a group of keys',
    array: 'a list',
  };
  return words[String(schema.type)] ?? 'text';
}

const listed = (words: readonly string[]): string =>
  words.length === 1 ? String(words[0]) : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;

function mendOf(schema: Schema, key: string): string {
  if (schema.properties) return `write its keys below it: ${Object.keys(schema.properties).join(', ')}`;
  const example = schema.examples?.[0];
  if (example !== undefined) {
    // An item of a list has no key of its own.
    return `write for example ${/^\d+$/.test(key) ? '' : `${key}: `}${exampleText(example)}`;
  }
  return `correct it, or leave the key out for ${exampleText(schema.default)}`;
}

function exampleText(value: unknown): string {
  return typeof value === 'string' && /^[\w./:-]+$/.test(value) ? value : JSON.stringify(value);
}
