/**
 * How the tables of shapes are written: one message a block, `Name: 1 field type, 2 field type`. A field has its protobuf
 * number, its name in JSON, and a type, which is a string where none is named:
 *
 * - `name?` is a pointer in Go: zero is a value. `name!` must be there.
 * - `X^bool`, `X^list`, `X^strings` is a message or something else in JSON, which is a message of both on the wire.
 * - `[]X` is a list, `{}X` a map from strings, `(A|B)` a string out of these (`(|A)`: or empty), and a name with a capital letter another message.
 * - `<a+b>` tells a list's items apart by `a` and `b`; `key:a`, `merge`, `retainKeys` are of strategic merge patches;
 *   `set`, `atomic` are of appliers.
 * - `=value` is filled in where the field is absent.
 * - `1 ...X` is a message on the wire whose fields JSON has beside the others. `Name*` is owned by its applier as a whole.
 */
export type Scalar =
  | 'string'
  | 'bool'
  /** int32 and int64; Kubernetes has none beyond 2^53. */
  | 'int'
  | 'double'
  /** Base64 in JSON. */
  | 'bytes'
  /** RFC 3339 in JSON: whole seconds, or microseconds. */
  | 'time'
  | 'microtime'
  /** Text in JSON; a message of one string. */
  | 'quantity'
  | 'intstr'
  /** A message of one field that holds JSON: RawExtension, FieldsV1. */
  | 'json'
  /** A list of strings in JSON; a message of its own where protobuf nests no lists. */
  | 'strings';

/** What a schema may be besides: true or false, several schemas, names. */
export type Other = 'bool' | 'list' | 'strings';

export type ShapeType =
  | { readonly kind: 'scalar'; readonly scalar: Scalar; readonly values?: readonly string[] }
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'either'; readonly message: Message; readonly or: Other }
  | { readonly kind: 'list' | 'map'; readonly of: ShapeType };

export interface Field {
  readonly number: number;
  /** Empty for an inlined message. */
  readonly name: string;
  readonly type: ShapeType;
  readonly pointer: boolean;
  readonly required: boolean;
  readonly default?: unknown;
  /** Of a list's items. */
  readonly keys?: readonly string[];
  readonly mergeKey?: string;
  readonly words: ReadonlySet<string>;
}

export interface Message {
  readonly name: string;
  readonly atomic: boolean;
  readonly fields: readonly Field[];
}

export type Messages = ReadonlyMap<string, Message>;

/** `outer`: messages of other tables that this one names. Throws at what does not fit the notation. */
export function parseShapes(table: string, outer: Messages = new Map()): Messages {
  const own = new Map<string, Message & { fields: Field[] }>();
  const known = (name: string): Message => {
    const found = own.get(name) ?? outer.get(name);
    if (found === undefined) throw new Error(`no shape has the name ${name}`);
    return found;
  };
  const blocks = table
    .trim()
    .split(/\n(?=\S)/)
    .map((block) => /^(\w+)(\*?):\s*(.*)$/s.exec(block) ?? fail(block));
  for (const [, name = '', star] of blocks) own.set(name, { name, atomic: star === '*', fields: [] });
  for (const [, name = '', , fields = ''] of blocks) {
    if (fields === '') continue;
    for (const text of fields.split(/,\s+(?=\d+ )/))
      own.get(name)!.fields.push(parseField(text.replace(/\s+/g, ' ').trim(), known));
  }
  return own;
}

function parseField(text: string, known: (name: string) => Message): Field {
  const inlined = /^(\d+) \.\.\.(\w+)$/.exec(text);
  if (inlined !== null) {
    const type = { kind: 'message', message: known(inlined[2]!) } as const;
    return { number: Number(inlined[1]), name: '', type, pointer: false, required: false, words: new Set() };
  }
  const [, number, name = '', pointer, required, written = 'string', rules = '', fill] =
    /^(\d+) ([\w$-]+)(\??)(!?)(?: ((?:\[\]|\{\})*(?:\([^)]*\)|[\w^]+))(?:<([^>]+)>)?(?:=(.*))?)?$/.exec(text) ??
    fail(text);
  const type = parseType(written, known);
  const words = rules.split(',').filter((w) => w !== '');
  const mergeKey = words.find((w) => w.startsWith('key:'))?.slice('key:'.length);
  const keys = words.find((w) => !w.startsWith('key:') && !plainWords.has(w))?.split('+');
  return {
    number: Number(number),
    name,
    type,
    pointer: pointer !== '',
    required: required !== '',
    words: new Set(words.filter((w) => plainWords.has(w))),
    ...(fill === undefined ? {} : { default: parseDefault(fill, type) }),
    ...(keys === undefined ? {} : { keys }),
    ...((mergeKey ?? (keys?.length === 1 ? keys[0] : undefined)) === undefined
      ? {}
      : { mergeKey: mergeKey ?? keys![0]! }),
  };
}

const plainWords: ReadonlySet<string> = new Set(['set', 'atomic', 'merge', 'retainKeys']);
const scalars: ReadonlySet<string> = new Set<Scalar>([
  'string',
  'bool',
  'int',
  'double',
  'bytes',
  'time',
  'microtime',
  'quantity',
  'intstr',
  'json',
  'strings',
]);

function parseType(text: string, known: (name: string) => Message): ShapeType {
  if (text.startsWith('[]')) return { kind: 'list', of: parseType(text.slice(2), known) };
  if (text.startsWith('{}')) return { kind: 'map', of: parseType(text.slice(2), known) };
  const either = /^(\w+)\^(bool|list|strings)$/.exec(text);
  if (either !== null) return { kind: 'either', message: known(either[1]!), or: either[2] as Other };
  if (text.startsWith('(')) return { kind: 'scalar', scalar: 'string', values: text.slice(1, -1).split(/\|\s*/) };
  if (scalars.has(text)) return { kind: 'scalar', scalar: text as Scalar };
  return { kind: 'message', message: known(text) };
}

function parseDefault(text: string, type: ShapeType): unknown {
  const isText = type.kind === 'scalar' && (type.scalar === 'string' || type.scalar === 'quantity');
  return isText && text !== '""' ? text : JSON.parse(text);
}

function fail(text: string): never {
  throw new Error(`not a shape: ${text}`);
}
