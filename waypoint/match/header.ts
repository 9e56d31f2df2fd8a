/** envoy.config.route.v3.HeaderMatcher. */
import type { Fields } from '../../common/envoy/fields.ts';
import { readRegex } from './regex.ts';
import { readString, type StringTest } from './string.ts';

const lowest = Number.MIN_SAFE_INTEGER;

/** Reads one header by name in lower case: `headerOf` of a request, or `get` of a response's headers. */
export type HeaderSource = (name: string) => string | undefined;

export interface HeaderTest {
  /** In lower case. */
  readonly name: string;
  matches(read: HeaderSource): boolean;
  /** The value that alone matches, for an index; absent where no single one does. */
  readonly exact?: string;
}

export function readHeader(fields: Fields): HeaderTest {
  const name = fields.text('name').toLowerCase();
  if (name === '') throw fields.refusal('name', 'is empty');
  const inverts = fields.flag('invert_match');
  const missingIsEmpty = fields.flag('treat_missing_header_as_empty');
  const which = fields.which(...kinds);
  if (which === undefined || which === 'present_match') {
    const wanted = which === undefined || fields.flag(which);
    return { name, matches: (read) => ((missingIsEmpty || read(name) !== undefined) === wanted) !== inverts };
  }
  const { test, exact } = readValueTest(fields, which);
  const matches = (read: HeaderSource): boolean => {
    const value = read(name);
    if (value !== undefined) return test(value) !== inverts;
    // A header that is missing satisfies neither a matcher nor its inverse.
    return missingIsEmpty && test('') !== inverts;
  };
  const indexable = exact !== undefined && !inverts && !missingIsEmpty;
  return { name, matches, ...(indexable ? { exact } : {}) };
}

const kinds = [
  'exact_match',
  'safe_regex_match',
  'range_match',
  'present_match',
  'prefix_match',
  'suffix_match',
  'contains_match',
  'string_match',
] as const;

function readValueTest(
  fields: Fields,
  which: Exclude<(typeof kinds)[number], 'present_match'>,
): { readonly test: StringTest; readonly exact?: string } {
  switch (which) {
    case 'exact_match': {
      const wanted = fields.text(which);
      // Envoy's old field: an empty value stands for any.
      return wanted === '' ? { test: () => true } : { test: (value) => value === wanted, exact: wanted };
    }
    case 'prefix_match': {
      const wanted = text(fields, which);
      return { test: (value) => value.startsWith(wanted) };
    }
    case 'suffix_match': {
      const wanted = text(fields, which);
      return { test: (value) => value.endsWith(wanted) };
    }
    case 'contains_match': {
      const wanted = text(fields, which);
      return { test: (value) => value.includes(wanted) };
    }
    case 'safe_regex_match': {
      const regex = fields.required(which, readRegex);
      return { test: (value) => regex.matches(value) };
    }
    case 'range_match': {
      const range = fields.required(which, (f) => ({ start: f.number('start', lowest), end: f.number('end', lowest) }));
      return { test: (value) => isWithin(value, range) };
    }
    case 'string_match':
      return fields.required(which, (f) => {
        const exact = f.has('exact') && !f.has('ignore_case') ? f.text('exact') : undefined;
        return { test: readString(f), ...(exact === undefined ? {} : { exact }) };
      });
  }
}

function text(fields: Fields, name: string): string {
  const value = fields.text(name);
  if (value === '') throw fields.refusal(name, 'is empty');
  return value;
}

/** 64 bits, as Envoy reads them; bigint where a double would round. */
function isWithin(value: string, { start, end }: { readonly start: number; readonly end: number }): boolean {
  if (!/^\s*[+-]?\d{1,19}\s*$/.test(value)) return false;
  const number = BigInt(value.trim().replace(/^\+/, ''));
  return number >= BigInt(start) && number < BigInt(end);
}
