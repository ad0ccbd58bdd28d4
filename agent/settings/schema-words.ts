/** The words that the settings' schema is written in: JSON Schema as far as it is used, and shorthands for usual kinds of keys. */

/** The part of JSON Schema that the settings need. `title` is what messages call the values a pattern allows. */
export interface Schema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: false;
}

export type Properties = Readonly<Record<string, Schema>>;
export type Limits = readonly [minimum: number, maximum: number];

/** A group of keys. Without `required` it may be left out, and its keys' defaults still count. */
export function group(description: string, properties: Properties, required: readonly string[] = []): Schema {
  const optional = required.length === 0 ? { default: {} } : { required };
  return { description, type: 'object', properties, ...optional, additionalProperties: false };
}

export const number = (
  type: 'integer' | 'number',
  [minimum, maximum]: Limits,
  fallback: number,
  description: string,
): Schema => ({
  description,
  type,
  minimum,
  maximum,
  default: fallback,
});

export const milliseconds = (limits: Limits, fallback: number, description: string): Schema =>
  number('number', limits, fallback, `Milliseconds. ${description}`);

export const wholeMilliseconds = (limits: Limits, fallback: number, description: string): Schema =>
  number('integer', limits, fallback, `Milliseconds. ${description}`);

export const bytes = (limits: Limits, fallback: number, description: string): Schema =>
  number('integer', limits, fallback, `Bytes. ${description}`);

export const name = (example: string, description: string): Schema => ({
  description,
  title: '1 to 32 characters of A-Z a-z 0-9 . _ -',
  type: 'string',
  pattern: '^[A-Za-z0-9._-]{1,32}$',
  examples: [example],
});

/** What the kernel accepts as an interface name; % would make it a template. */
export const interfaceName = (description: string): Schema => ({
  description,
  title: '1 to 15 characters without spaces, / : or %',
  type: 'string',
  pattern: '^(?!\\.{1,2}$)[!-$&-.0-9;-~]{1,15}$',
});

export const path = (example: string, description: string): Schema => ({
  description,
  type: 'string',
  minLength: 1,
  examples: [example],
});

export const endpoint = (example: string, description: string): Schema => ({
  description: `${description} Written address:port or "[IPv6 address]:port" (in quotes).`,
  type: 'string',
  examples: [example],
});

export const oneOrList = (title: string, examples: readonly unknown[], description: string): Schema => ({
  description,
  title,
  type: ['string', 'array'],
  items: { type: 'string', examples: [examples[0]] },
  minItems: 1,
  examples,
});
