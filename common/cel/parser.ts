/** CEL text to a tree, by the grammar of the language definition. Macros stay calls: check.ts and run.ts know them. */
import { type BinaryOperator, CelError, type Node } from './ast.ts';
import { type Token, tokensOf } from './lexer.ts';

const lengthLimit = 32 * 1024;
const depthLimit = 200;

/** Loosest first. */
const levels: readonly (readonly BinaryOperator[])[] = [
  ['||'],
  ['&&'],
  ['==', '!=', '<', '<=', '>', '>=', 'in'],
  ['+', '-'],
  ['*', '/', '%'],
];

const reserved = new Set(
  'as break const continue else for function if import let loop package namespace return var void while'.split(' '),
);

/** CelError. */
export function parseCel(text: string): Node {
  if (text.length > lengthLimit) throw new CelError(`the expression is longer than ${lengthLimit} characters`);
  const parser = new Parser(tokensOf(text));
  const node = parser.expression();
  parser.end();
  return node;
}

class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  end(): void {
    if (this.#peek().kind !== 'end') this.#unexpected();
  }

  expression(): Node {
    if (++this.#depth > depthLimit) throw new CelError(`the expression nests deeper than ${depthLimit} levels`);
    const { at } = this.#peek();
    const test = this.#binary(0);
    let node = test;
    if (this.#take('?')) {
      const yes = this.#binary(0);
      this.#expect(':');
      node = { kind: 'conditional', at, test, yes, no: this.expression() };
    }
    this.#depth--;
    return node;
  }

  #binary(level: number): Node {
    const operators = levels[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    // Chains are flat for the stack: each turn makes one node deeper, so they count as depth too.
    for (let chain = 0; ; chain++) {
      const operator = operators.find((o) => this.#is(o));
      if (operator === undefined) return left;
      if (chain > 1000) throw new CelError('the expression has a chain of more than 1000 operators');
      const { at } = this.#peek();
      this.#next++;
      left = { kind: 'binary', at, operator, left, right: this.#binary(level + 1) };
    }
  }

  #unary(): Node {
    const { at } = this.#peek();
    const signs: ('!' | '-')[] = [];
    while (this.#is('!') || this.#is('-')) {
      signs.push(this.#symbol() as '!' | '-');
      this.#next++;
      if (signs.length > depthLimit) throw new CelError('too many signs');
    }
    let node = this.#member(signs.at(-1) === '-');
    // The sign of the least integer belongs to its number.
    if (signs.at(-1) === '-' && node.kind === 'literal' && node.at < 0) {
      signs.pop();
      node = { ...node, at };
    }
    for (const operator of signs.reverse()) node = { kind: 'unary', at, operator, of: node };
    return node;
  }

  #member(negative: boolean): Node {
    let node = this.#primary(negative);
    for (let chain = 0; ; chain++) {
      if (chain > 1000) throw new CelError('the expression has a chain of more than 1000 members');
      const { at } = this.#peek();
      if (this.#take('.')) {
        const optional = this.#take('?');
        const field = this.#name(true);
        if (!optional && this.#take('(')) node = { kind: 'call', at, name: field, target: node, args: this.#list(')') };
        else node = { kind: 'select', at, of: node, field, optional };
      } else if (this.#take('[')) {
        const optional = this.#take('?');
        const index = this.expression();
        this.#expect(']');
        node = { kind: 'index', at, of: node, index, optional };
      } else return node;
    }
  }

  #primary(negative: boolean): Node {
    const token = this.#peek();
    const { at } = token;
    if (token.kind === 'literal') {
      this.#next++;
      return this.#literal(token, negative);
    }
    if (token.kind === 'name') {
      const name = this.#name(false);
      if (reserved.has(name)) throw new CelError(`${JSON.stringify(name)} at character ${at + 1} is a reserved word`);
      return this.#take('(')
        ? { kind: 'call', at, name, target: undefined, args: this.#list(')') }
        : { kind: 'name', at, name };
    }
    if (this.#take('(')) {
      const node = this.expression();
      this.#expect(')');
      return node;
    }
    if (this.#take('[')) return { kind: 'list', at, items: this.#items() };
    if (this.#take('{')) return { kind: 'map', at, entries: this.#entries() };
    // A leading dot names what is outside of all containers, which are not used here.
    if (this.#take('.')) return this.#primary(false);
    return this.#unexpected();
  }

  #literal(token: Token & { kind: 'literal' }, negative: boolean): Node {
    const { value, at } = token;
    if (value.type === 'uint' && value.value >= 2n ** 64n) throw new CelError(`${value.value}u is too large`);
    if (value.type === 'int') {
      if (negative && value.value === 2n ** 63n)
        return { kind: 'literal', at: -1, value: { type: 'int', value: -value.value } };
      if (value.value >= 2n ** 63n) throw new CelError(`${value.value} is too large for an int`);
    }
    return { kind: 'literal', at, value };
  }

  #list(end: string): readonly Node[] {
    const nodes: Node[] = [];
    while (!this.#take(end)) {
      nodes.push(this.expression());
      if (!this.#is(end)) this.#expect(',');
    }
    return nodes;
  }

  #items(): { readonly value: Node; readonly optional: boolean }[] {
    const items: { readonly value: Node; readonly optional: boolean }[] = [];
    while (!this.#take(']')) {
      const optional = this.#take('?');
      items.push({ optional, value: this.expression() });
      if (!this.#is(']')) this.#expect(',');
    }
    return items;
  }

  #entries(): { readonly key: Node; readonly value: Node; readonly optional: boolean }[] {
    const entries: { readonly key: Node; readonly value: Node; readonly optional: boolean }[] = [];
    while (!this.#take('}')) {
      const optional = this.#take('?');
      const key = this.expression();
      this.#expect(':');
      entries.push({ optional, key, value: this.expression() });
      if (!this.#is('}')) this.#expect(',');
    }
    return entries;
  }

  #name(quoted: boolean): string {
    const token = this.#peek();
    if (token.kind === 'name' && (quoted || !token.quoted)) {
      this.#next++;
      return token.text;
    }
    return this.#unexpected();
  }

  #peek(): Token {
    return this.#tokens[this.#next]!;
  }

  #symbol(): string {
    const token = this.#peek();
    return token.kind === 'symbol' ? token.text : '';
  }

  #is(symbol: string): boolean {
    return this.#symbol() === symbol;
  }

  #take(symbol: string): boolean {
    if (!this.#is(symbol)) return false;
    this.#next++;
    return true;
  }

  #expect(symbol: string): void {
    if (!this.#take(symbol)) this.#unexpected(`; ${symbol} is expected`);
  }

  #unexpected(more = ''): never {
    const token = this.#peek();
    const what =
      token.kind === 'end'
        ? 'end of the expression'
        : token.kind === 'literal'
          ? 'literal'
          : JSON.stringify(token.text);
    throw new CelError(`unexpected ${what} at character ${token.at + 1}${more}`);
  }
}
