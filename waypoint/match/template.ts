/** Path templates, envoy.extensions.path.match.uri_template.v3: `/users/{id}/**`. */
import { RE2JS } from 're2js';
import type { Fields } from '../../common/envoy/fields.ts';

export interface PathTemplate {
  /** `path` has no query. */
  matches(path: string): boolean;
  /** What its variables stand for; undefined when it does not match. */
  variables(path: string): ReadonlyMap<string, string> | undefined;
  readonly names: ReadonlySet<string>;
}

export const templateUrl = 'type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig';

/** pchar of RFC 3986 without `*` and `=`. */
const literal = "a-zA-Z0-9\\-._~%!$&'()+,;:@";
const literalForm = new RegExp(`^[${literal}]+$`);
const [oneSegment, anyText] = [`[${literal}]+`, `[${literal}/]*`];

/** Reads the TypedExtensionConfig of a template. */
export function readTemplate(fields: Fields): PathTemplate {
  fields.harmless('name');
  return fields.required('typed_config', (f) => {
    if (f.type !== templateUrl) throw f.refusal('@type', `${f.type} is not supported`);
    const text = f.text('path_template');
    try {
      return compileTemplate(text);
    } catch (e) {
      throw f.refusal('path_template', `${JSON.stringify(text)}: ${(e as Error).message}`);
    }
  });
}

function compileTemplate(text: string): PathTemplate {
  if (!/^\/[!-~]*$/.test(text)) throw new Error('does not begin with / or has characters that no path has');
  const names = new Set<string>();
  const globs: string[] = [];
  let rest = text.slice(1);
  let pattern = '/';
  while (rest !== '') {
    const { taken, regex } = readPiece(rest, names, globs);
    pattern += regex;
    rest = rest.slice(taken);
    if (rest === '') break;
    if (rest.startsWith('/')) {
      pattern += '/';
      rest = rest.slice(1);
      continue;
    }
    // A suffix right after a glob or variable ends the template.
    if (!literalForm.test(rest)) throw new Error('a segment after a glob or variable must begin with /');
    pattern += quote(rest);
    break;
  }
  if (names.size > 5) throw new Error('has more than 5 variables');
  const afterText = globs.indexOf('**');
  if (afterText >= 0 && afterText < globs.length - 1) throw new Error('has a glob after **');
  const regex = RE2JS.compile(pattern);
  return {
    names,
    matches: (path) => regex.testExact(path),
    variables(path) {
      const matcher = regex.matcher(path);
      if (!matcher.matches()) return undefined;
      return new Map([...names].map((name) => [name, matcher.group(name) ?? '']));
    },
  };
}

interface Piece {
  readonly taken: number;
  readonly regex: string;
}

function readPiece(rest: string, names: Set<string>, globs: string[]): Piece {
  if (rest.startsWith('*')) return readGlob(rest, globs);
  if (!rest.startsWith('{')) return readLiteral(rest);
  const end = rest.indexOf('}');
  if (end < 0) throw new Error('{ without }');
  const [, name = '', , within] = /^([^=]*)(=(.*))?$/s.exec(rest.slice(1, end)) ?? [];
  if (!/^[a-zA-Z][a-zA-Z0-9_]{0,15}$/.test(name)) throw new Error(`${JSON.stringify(name)} is no name of a variable`);
  if (names.has(name)) throw new Error(`has the variable ${name} twice`);
  names.add(name);
  if (within === '') throw new Error(`variable ${name} has an empty pattern`);
  if (within === undefined) globs.push('*');
  const inner = within === undefined ? oneSegment : readInner(within, globs);
  return { taken: end + 1, regex: `(?P<${name}>${inner})` };
}

function readInner(text: string, globs: string[]): string {
  let rest = text;
  let regex = '';
  for (;;) {
    const piece = rest.startsWith('*') ? readGlob(rest, globs) : readLiteral(rest);
    regex += piece.regex;
    rest = rest.slice(piece.taken);
    if (rest === '') return regex;
    if (!rest.startsWith('/') || rest === '/') throw new Error('a pattern of a variable has segments apart by /');
    regex += '/';
    rest = rest.slice(1);
  }
}

function readGlob(rest: string, globs: string[]): Piece {
  const isText = rest.startsWith('**');
  globs.push(isText ? '**' : '*');
  return isText ? { taken: 2, regex: anyText } : { taken: 1, regex: oneSegment };
}

function readLiteral(rest: string): Piece {
  const end = rest.indexOf('/');
  const text = end < 0 ? rest : rest.slice(0, end);
  if (!literalForm.test(text)) throw new Error(`${JSON.stringify(text)} has characters that no segment has`);
  return { taken: text.length, regex: quote(text) };
}

function quote(text: string): string {
  return text.replace(/[$()+.]/g, '\\$&');
}
