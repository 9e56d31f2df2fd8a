/** JSONPath as printer columns use it: fields, indices, slices, `*`, `..`, unions and filters by comparison. */

export class JsonPathError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JsonPathError';
  }
}

/** The values that a path finds, in their order. Total: what is absent is not found. */
export type JsonPath = (object: unknown) => readonly unknown[];

type Step =
  | { readonly kind: 'field'; readonly name: string }
  | { readonly kind: 'index'; readonly index: number }
  | { readonly kind: 'slice'; readonly from: number | undefined; readonly to: number | undefined; readonly by: number }
  | { readonly kind: 'all' }
  | { readonly kind: 'deep' }
  | { readonly kind: 'union'; readonly steps: readonly Step[] }
  | { readonly kind: 'filter'; readonly left: Operand; readonly test: Comparison | undefined; readonly right: Operand };

type Operand =
  | { readonly kind: 'path'; readonly steps: readonly Step[] }
  | { readonly kind: 'value'; readonly value: unknown };

const comparisons = ['==', '!=', '<=', '>=', '<', '>'] as const;
type Comparison = (typeof comparisons)[number];

const lengthLimit = 4096;
/** Values that one path may find; `..` over a deep object would find many more. */
const foundLimit = 10_000;

/** `.spec.list[?(@.type=="Ready")].status`, with or without braces around it. JsonPathError. */
export function parseJsonPath(text: string): JsonPath {
  const plain = text.replace(/^\{(.*)\}$/s, '$1').trim();
  if (plain === '') throw new JsonPathError('the path is empty');
  if (plain.length > lengthLimit) throw new JsonPathError(`the path is longer than ${lengthLimit} characters`);
  const parser = new Parser(plain);
  const steps = parser.path();
  parser.end();
  return (object) => run(steps, [object]);
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  end(): void {
    if (this.#at < this.#text.length) this.#fail(`unexpected ${JSON.stringify(this.#text[this.#at])}`);
  }

  path(): readonly Step[] {
    if (++this.#depth > 16) this.#fail('filters nest too deep');
    const steps: Step[] = [];
    if (this.#peek() === '$' || this.#peek() === '@') this.#at++;
    else if (/[A-Za-z_]/.test(this.#peek())) this.#fail('a path begins with "." or "["');
    for (;;) {
      if (this.#take('..')) {
        steps.push({ kind: 'deep' });
        if (this.#peek() !== '[') steps.push(this.#name());
      } else if (this.#take('.')) {
        if (this.#peek() !== '[') {
          // A dot alone is the object itself.
          if (steps.length === 0 && /^[\s)]?$/.test(this.#peek())) continue;
          steps.push(this.#name());
        }
      } else if (this.#take('[')) steps.push(this.#bracket());
      else {
        this.#depth--;
        return steps;
      }
    }
  }

  /** A backslash takes the next character as it is. */
  #name(): Step {
    if (this.#take('*')) return { kind: 'all' };
    let name = '';
    for (;;) {
      const c = this.#peek();
      if (c === '\\') {
        this.#at++;
        if (this.#peek() === '') this.#fail('a backslash at the end');
        name += this.#text[this.#at++];
      } else if (c === '' || /[.[\](){}\s=!<>,]/.test(c)) break;
      else name += this.#text[this.#at++];
    }
    if (name === '') this.#fail('a name is missing');
    return { kind: 'field', name };
  }

  #bracket(): Step {
    if (this.#take('?(')) {
      const filter = this.#filter();
      if (!this.#take(')')) this.#fail('")" is missing');
      if (!this.#take(']')) this.#fail('"]" is missing');
      return filter;
    }
    const steps = [this.#member()];
    while (this.#take(',')) steps.push(this.#member());
    if (!this.#take(']')) this.#fail('"]" is missing');
    return steps.length === 1 ? steps[0]! : { kind: 'union', steps };
  }

  #member(): Step {
    this.#spaces();
    if (this.#take('*')) return { kind: 'all' };
    const c = this.#peek();
    if (c === '"' || c === "'") return { kind: 'field', name: this.#quoted() };
    const numbers = /^(-?\d{1,9})?(:(-?\d{1,9})?(:(-?\d{1,9})?)?)?/.exec(this.#text.slice(this.#at))!;
    const [all, from, slice, to, , by] = numbers;
    if (all === '') this.#fail('a number, a name in quotes or * is expected');
    this.#at += all.length;
    this.#spaces();
    if (slice === undefined) return { kind: 'index', index: Number(from) };
    const step = by === undefined ? 1 : Number(by);
    if (step < 1) this.#fail('a slice goes by steps of 1 or more');
    return { kind: 'slice', from: maybe(from), to: maybe(to), by: step };
  }

  #filter(): Step {
    const left = this.#operand();
    this.#spaces();
    const test = comparisons.find((c) => this.#take(c));
    if (test === undefined) return { kind: 'filter', left, test, right: { kind: 'value', value: true } };
    const right = this.#operand();
    this.#spaces();
    return { kind: 'filter', left, test, right };
  }

  #operand(): Operand {
    this.#spaces();
    const c = this.#peek();
    if (c === '@' || c === '$' || c === '.') return { kind: 'path', steps: this.path() };
    if (c === '"' || c === "'") return { kind: 'value', value: this.#quoted() };
    const word = /^[-+\w.]+/.exec(this.#text.slice(this.#at))?.[0] ?? this.#fail('a path or a value is expected');
    this.#at += word.length;
    if (word === 'true' || word === 'false') return { kind: 'value', value: word === 'true' };
    const value = Number(word);
    if (Number.isNaN(value)) this.#fail(`${JSON.stringify(word)} is no value`);
    return { kind: 'value', value };
  }

  #quoted(): string {
    const quote = this.#text[this.#at++];
    let value = '';
    for (;;) {
      const c = this.#text[this.#at++];
      if (c === undefined) return this.#fail('a quote is not closed');
      if (c === quote) break;
      value += c === '\\' ? (this.#text[this.#at++] ?? '') : c;
    }
    this.#spaces();
    return value;
  }

  #spaces(): void {
    while (/^\s$/.test(this.#peek())) this.#at++;
  }

  #peek(): string {
    return this.#text[this.#at] ?? '';
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #fail(why: string): never {
    throw new JsonPathError(`${JSON.stringify(this.#text)} at character ${this.#at + 1}: ${why}`);
  }
}

function maybe(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function run(steps: readonly Step[], from: readonly unknown[]): readonly unknown[] {
  let values = from;
  for (const step of steps) {
    const next: unknown[] = [];
    for (const value of values) {
      for (const found of take(step, value)) if (next.length < foundLimit) next.push(found);
    }
    values = next;
  }
  return values;
}

function take(step: Step, value: unknown): readonly unknown[] {
  switch (step.kind) {
    case 'field':
      return isRecord(value) && Object.hasOwn(value, step.name) ? [value[step.name]] : [];
    case 'index': {
      if (!Array.isArray(value)) return [];
      const at = step.index < 0 ? value.length + step.index : step.index;
      return at >= 0 && at < value.length ? [value[at]] : [];
    }
    case 'slice':
      return Array.isArray(value) ? value.slice(step.from ?? 0, step.to).filter((_, i) => i % step.by === 0) : [];
    case 'all':
      return members(value);
    case 'deep':
      return below(value);
    case 'union':
      return step.steps.flatMap((s) => take(s, value));
    case 'filter':
      return (Array.isArray(value) ? value : []).filter((item) => passes(step, item));
  }
}

function passes({ left, test, right }: Step & { kind: 'filter' }, item: unknown): boolean {
  const [a, b] = [operand(left, item), operand(right, item)];
  if (test === undefined) return a.length > 0;
  return a.some((x) => b.some((y) => compare(x, y, test)));
}

function operand(of: Operand, item: unknown): readonly unknown[] {
  return of.kind === 'value' ? [of.value] : run(of.steps, [item]);
}

function compare(a: unknown, b: unknown, test: Comparison): boolean {
  if (test === '==') return a === b;
  if (test === '!=') return a !== b;
  if (typeof a !== typeof b || (typeof a !== 'number' && typeof a !== 'string')) return false;
  const [x, y] = [a as string | number, b as string | number];
  return test === '<' ? x < y : test === '<=' ? x <= y : test === '>' ? x > y : x >= y;
}

function members(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return isRecord(value) ? Object.values(value) : [];
}

/** The value and all in it. */
function below(value: unknown): readonly unknown[] {
  const found = [value];
  for (let i = 0; i < found.length && found.length < foundLimit; i++) {
    for (const member of members(found[i])) found.push(member);
  }
  return found;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
