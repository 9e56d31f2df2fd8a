/**
 * Adds a plugin to the end of a CNI network configuration list and takes it out again (CNI specification, section 1). Text in, text
 * out: everything else in the file stays as it is, to the byte. Pure.
 */

export type Edit =
  | { readonly kind: 'changed'; readonly text: string }
  | { readonly kind: 'same' }
  | { readonly kind: 'unusable'; readonly reason: string };

interface Found {
  /** Start and end of each element of `plugins`. */
  readonly elements: readonly { readonly start: number; readonly end: number; readonly value: unknown }[];
}

/** `plugin` has the `type` by which it is found again. One that stands there with other settings is replaced in its place. */
export function withPlugin(text: string, plugin: { readonly type: string; readonly [setting: string]: unknown }): Edit {
  const found = findPlugins(text);
  if (typeof found === 'string') return { kind: 'unusable', reason: found };
  const { elements } = found;
  const own = elements.filter((e) => typeOf(e.value) === plugin.type);
  const others = elements.length - own.length;
  if (others === 0) return { kind: 'unusable', reason: 'no other plugin stands in it that gives pods a network' };
  const wanted = JSON.stringify(plugin);
  if (own.length === 1 && elements[0] !== own[0] && JSON.stringify(own[0]!.value) === wanted) return { kind: 'same' };
  const without = withoutPlugin(text, plugin.type);
  const clean = without.kind === 'changed' ? without.text : text;
  const last = (findPlugins(clean) as Found).elements.at(-1)!;
  return { kind: 'changed', text: `${clean.slice(0, last.end)},${wanted}${clean.slice(last.end)}` };
}

export function withoutPlugin(text: string, type: string): Edit {
  const found = findPlugins(text);
  if (typeof found === 'string') return { kind: 'unusable', reason: found };
  const { elements } = found;
  let out = text;
  for (let i = elements.length - 1; i >= 0; i--) {
    const element = elements[i]!;
    if (typeOf(element.value) !== type) continue;
    // With the comma before it, and where it is the first with the one behind it.
    const start = i > 0 ? elements[i - 1]!.end : element.start;
    const end = i > 0 ? element.end : (elements[i + 1]?.start ?? element.end);
    out = out.slice(0, start) + out.slice(end);
  }
  return out === text ? { kind: 'same' } : { kind: 'changed', text: out };
}

function typeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? (value as { type?: unknown }).type : undefined;
}

/** Or why the text is no list of plugins. */
function findPlugins(text: string): Found | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  const plugins = typeof parsed === 'object' && parsed !== null ? (parsed as { plugins?: unknown }).plugins : undefined;
  if (!Array.isArray(plugins)) return 'it is no list of plugins (a field "plugins")';
  const starts = members(text, text.indexOf('{')).filter(({ key }) => key === 'plugins');
  if (starts.length !== 1) return 'it has more than one field "plugins"';
  const elements = spans(text, starts[0]!.value).map(({ start, end }, i) => ({ start, end, value: plugins[i] }));
  return { elements };
}

/** Of an object that starts at `at`, in text that is JSON: each key, and where its value starts. */
function members(text: string, at: number): { readonly key: string; readonly value: number }[] {
  const found: { key: string; value: number }[] = [];
  for (let next = skipSpace(text, at + 1); text[next] === '"'; ) {
    const keyEnd = skipValue(text, next);
    const value = skipSpace(text, skipSpace(text, keyEnd) + 1);
    found.push({ key: JSON.parse(text.slice(next, keyEnd)) as string, value });
    next = skipSpace(text, skipValue(text, value));
    if (text[next] === ',') next = skipSpace(text, next + 1);
  }
  return found;
}

/** Of an array that starts at `at`. */
function spans(text: string, at: number): { readonly start: number; readonly end: number }[] {
  const found: { start: number; end: number }[] = [];
  for (let start = skipSpace(text, at + 1); text[start] !== ']'; ) {
    const end = skipValue(text, start);
    found.push({ start, end });
    start = skipSpace(text, end);
    if (text[start] === ',') start = skipSpace(text, start + 1);
  }
  return found;
}

function skipSpace(text: string, at: number): number {
  let i = at;
  while (' \t\n\r'.includes(text[i] ?? '.')) i++;
  return i;
}

/** Behind the value that starts at `at`: a string, something in brackets, or a word or number. */
function skipValue(text: string, at: number): number {
  const token = /"(?:[^"\\]|\\.)*"|[[{]|[\]}]|[^\s"[\]{},:]+/gs;
  token.lastIndex = at;
  for (let depth = 0; ; ) {
    const [word] = token.exec(text)!;
    if (word === '{' || word === '[') depth++;
    else if (word === '}' || word === ']') depth--;
    if (depth === 0) return token.lastIndex;
  }
}
