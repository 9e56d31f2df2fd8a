/** Tokens of CEL (the language definition's lexis). */
import { CelError, type Literal } from './ast.ts';

export type Token = { readonly at: number } & (
  | { readonly kind: 'literal'; readonly value: Literal }
  /** `quoted`: in backticks, which makes a field of any text. */
  | { readonly kind: 'name'; readonly text: string; readonly quoted: boolean }
  | { readonly kind: 'symbol'; readonly text: string }
  | { readonly kind: 'end' }
);

const symbols = [
  '||',
  '&&',
  '==',
  '!=',
  '<=',
  '>=',
  '<',
  '>',
  '+',
  '-',
  '*',
  '/',
  '%',
  '!',
  '?',
  ':',
  '.',
  ',',
  '(',
  ')',
  '[',
  ']',
  '{',
  '}',
];
const space = /(?:[\t\n\f\r ]|\/\/[^\n]*)+/y;
const name = /[A-Za-z_][A-Za-z0-9_]*/y;
const number = /0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\.\d+(?:[eE][+-]?\d+)?)|\d+[uU]?/y;
const opening = /([rR]?[bB]?|[bB][rR])("""|'''|"|')/y;

/** CelError. */
export function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    return pattern.exec(text);
  };
  while (at < text.length) {
    const blank = match(space);
    if (blank !== null) {
      at += blank[0].length;
      continue;
    }
    const open = match(opening);
    if (open !== null) {
      const { value, end } = stringAt(text, at, open);
      tokens.push({ kind: 'literal', at, value });
      at = end;
      continue;
    }
    const word = match(name);
    if (word !== null) {
      tokens.push(wordToken(word[0], at));
      at += word[0].length;
      continue;
    }
    const digits = match(number);
    if (digits !== null && !(digits[0].startsWith('.') && endsOperand(tokens.at(-1)))) {
      tokens.push({ kind: 'literal', at, value: numberOf(digits[0]) });
      at += digits[0].length;
      continue;
    }
    if (text[at] === '`') {
      const end = text.indexOf('`', at + 1);
      if (end < 0) throw new CelError(`a backtick at character ${at + 1} is not closed`);
      tokens.push({ kind: 'name', at, text: text.slice(at + 1, end), quoted: true });
      at = end + 1;
      continue;
    }
    const symbol = symbols.find((s) => text.startsWith(s, at));
    if (symbol === undefined) throw new CelError(`unexpected ${JSON.stringify(text[at])} at character ${at + 1}`);
    tokens.push({ kind: 'symbol', at, text: symbol });
    at += symbol.length;
  }
  return [...tokens, { kind: 'end', at }];
}

/** A dot behind it selects a field. */
function endsOperand(token: Token | undefined): boolean {
  if (token === undefined || token.kind === 'end') return false;
  return token.kind !== 'symbol' || [')', ']', '}'].includes(token.text);
}

function wordToken(text: string, at: number): Token {
  if (text === 'true' || text === 'false')
    return { kind: 'literal', at, value: { type: 'bool', value: text === 'true' } };
  if (text === 'null') return { kind: 'literal', at, value: { type: 'null' } };
  if (text === 'in') return { kind: 'symbol', at, text };
  return { kind: 'name', at, text, quoted: false };
}

function numberOf(text: string): Literal {
  if (/^0x/i.test(text) || /^\d+u?$/i.test(text)) {
    const unsigned = /u$/i.test(text);
    return { type: unsigned ? 'uint' : 'int', value: BigInt(unsigned ? text.slice(0, -1) : text) };
  }
  return { type: 'double', value: Number(text) };
}

function stringAt(
  text: string,
  start: number,
  open: RegExpExecArray,
): { readonly value: Literal; readonly end: number } {
  const [all, prefix = '', quote = ''] = open;
  const [raw, bytes] = [/r/i.test(prefix), /b/i.test(prefix)];
  let at = start + all.length;
  const fail = (why: string): never => {
    throw new CelError(`the string at character ${start + 1} ${why}`);
  };
  const chunks: Buffer[] = [];
  let plain = '';
  const flush = () => {
    if (plain !== '') chunks.push(Buffer.from(plain));
    plain = '';
  };
  for (;;) {
    if (at >= text.length) fail('is not closed');
    if (text.startsWith(quote, at)) break;
    const c = text[at]!;
    if (c === '\n' && quote.length === 1) fail('has a line break');
    if (c !== '\\' || raw) {
      // A raw string keeps its backslashes.
      plain += c;
      at++;
      continue;
    }
    const found = escapeAt(text, at) ?? fail('has an escape that CEL does not know');
    at += found.length;
    if (found.byte && bytes) {
      flush();
      chunks.push(Buffer.from([found.code]));
    } else {
      if (found.code > 0x10ffff || (found.code >= 0xd800 && found.code < 0xe000))
        fail('has an escape that is no character');
      plain += String.fromCodePoint(found.code);
    }
  }
  const end = at + quote.length;
  if (!bytes) return { value: { type: 'string', value: plain }, end };
  flush();
  return { value: { type: 'bytes', value: new Uint8Array(Buffer.concat(chunks)) }, end };
}

const simple: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  '\\': 92,
  "'": 39,
  '"': 34,
  '`': 96,
  '?': 63,
};
const escapes: readonly (readonly [RegExp, number, boolean])[] = [
  [/\\[xX]([0-9a-fA-F]{2})/y, 16, true],
  [/\\u([0-9a-fA-F]{4})/y, 16, false],
  [/\\U([0-9a-fA-F]{8})/y, 16, false],
  [/\\([0-3][0-7]{2})/y, 8, true],
];

function escapeAt(
  text: string,
  at: number,
): { readonly code: number; readonly length: number; readonly byte: boolean } | undefined {
  for (const [pattern, base, byte] of escapes) {
    pattern.lastIndex = at;
    const m = pattern.exec(text);
    if (m !== null) return { code: Number.parseInt(m[1]!, base), length: m[0].length, byte };
  }
  const next = text[at + 1] ?? '';
  const code = Object.hasOwn(simple, next) ? simple[next] : undefined;
  return code === undefined ? undefined : { code, length: 2, byte: false };
}
