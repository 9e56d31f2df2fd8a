/** Regular expressions of the configuration: RE2's language and its linear time, whoever sends the text. */
import { RE2JS } from 're2js';
import type { Fields } from '../../common/envoy/fields.ts';

export interface Regex {
  /** The text as configured. */
  readonly text: string;
  /** The whole of `value`, as Envoy's RE2::FullMatch. */
  matches(value: string): boolean;
}

/** Reads an envoy.type.matcher.v3.RegexMatcher. */
export function readRegex(fields: Fields): Regex {
  // The engine is RE2 in any case; its program size is bounded here by what re2js accepts.
  fields.harmless('google_re2');
  const text = fields.text('regex');
  const compiled = compile(fields, text);
  return { text, matches: (value) => compiled.testExact(value) };
}

function compile(fields: Fields, text: string): RE2JS {
  if (text === '') throw fields.refusal('regex', 'is empty');
  try {
    return RE2JS.compile(text);
  } catch (e) {
    throw fields.refusal(
      'regex',
      `${JSON.stringify(text)} is no RE2 expression: ${e instanceof Error ? e.message : e}`,
    );
  }
}

/** Replaces every match. */
export type Substitution = (text: string) => string;

/** Reads an envoy.type.matcher.v3.RegexMatchAndSubstitute: `\1` is the first group, `\\` a backslash. */
export function readSubstitution(fields: Fields): Substitution {
  const regex = fields.required('pattern', (f) => {
    f.harmless('google_re2');
    return compile(f, f.text('regex'));
  });
  const parts = readReplacement(fields, fields.text('substitution'), regex.groupCount());
  return (text) => replaceAll(regex, text, parts);
}

type Part = string | number;

function readReplacement(fields: Fields, text: string, groups: number): readonly Part[] {
  const parts: Part[] = [];
  for (const [, literal, escaped] of text.matchAll(/([^\\]+)|\\(.?)/gs)) {
    if (literal !== undefined) parts.push(literal);
    else if (escaped === '\\') parts.push('\\');
    else if (/^\d$/.test(escaped ?? '') && Number(escaped) <= groups) parts.push(Number(escaped));
    else throw fields.refusal('substitution', `\\${escaped} names no group of the pattern, which has ${groups}`);
  }
  return parts;
}

/** As RE2::GlobalReplace: an empty match right after a match does not count. */
function replaceAll(regex: RE2JS, text: string, parts: readonly Part[]): string {
  const matcher = regex.matcher(text);
  let out = '';
  let at = 0;
  let lastEnd = -1;
  while (at <= text.length && matcher.find(at)) {
    const [start, end] = [matcher.start(), matcher.end()];
    out += text.slice(at, start);
    if (start === end && start === lastEnd) {
      out += text.charAt(start);
      at = start + 1;
      continue;
    }
    for (const part of parts) out += typeof part === 'string' ? part : (matcher.group(part) ?? '');
    at = end;
    lastEnd = end;
  }
  return out + text.slice(at);
}
