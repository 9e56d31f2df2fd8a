/** envoy.type.matcher.v3.MetadataMatcher and ValueMatcher, on dynamic metadata. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { Metadata } from '../request/view.ts';
import { readString } from './string.ts';

const lowest = -Number.MAX_VALUE;

export type MetadataTest = (metadata: Metadata) => boolean;

export function readMetadata(fields: Fields): MetadataTest {
  const filter = fields.text('filter');
  const path = fields.readAll('path', (f) => f.text('key'));
  if (filter === '' || path.length === 0) throw fields.refusal('path', 'and filter must both be there');
  const test = fields.required('value', readValue);
  const inverts = fields.flag('invert');
  return (metadata) => test(valueAt(metadata.get(filter), path)) !== inverts;
}

function valueAt(root: unknown, path: readonly string[]): unknown {
  let value = root;
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[key];
  }
  return value;
}

type ValueTest = (value: unknown) => boolean;

function readValue(fields: Fields): ValueTest {
  const kinds = [
    'null_match',
    'double_match',
    'string_match',
    'bool_match',
    'present_match',
    'list_match',
    'or_match',
  ] as const;
  const which = fields.which(...kinds);
  switch (which) {
    case 'null_match':
      fields.read(which, () => undefined);
      return (value) => value === null;
    case 'double_match': {
      const test = fields.required(which, readDouble);
      return (value) => typeof value === 'number' && test(value);
    }
    case 'string_match': {
      const test = fields.required(which, readString);
      return (value) => typeof value === 'string' && test(value);
    }
    case 'bool_match': {
      const wanted = fields.flag(which);
      return (value) => value === wanted;
    }
    case 'present_match': {
      const wanted = fields.flag(which);
      return (value) => wanted && value !== undefined && value !== null;
    }
    case 'list_match': {
      const test = fields.required(which, (f) => f.required('one_of', readValue));
      return (value) => Array.isArray(value) && value.some(test);
    }
    case 'or_match': {
      const tests = fields.required(which, (f) => f.readAll('value_matchers', readValue));
      return (value) => tests.some((test) => test(value));
    }
    case undefined:
      throw fields.refusal('match_pattern', 'is missing');
  }
}

function readDouble(fields: Fields): (value: number) => boolean {
  if (fields.which('range', 'exact') === 'range') {
    const { start, end } = fields.required('range', (f) => ({
      start: f.number('start', lowest),
      end: f.number('end', lowest),
    }));
    return (value) => value >= start && value < end;
  }
  const exact = fields.number('exact', lowest);
  return (value) => value === exact;
}
