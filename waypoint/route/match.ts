/** envoy.config.route.v3.RouteMatch. */
import type { Fields } from '../../common/envoy/fields.ts';
import { type HeaderTest, readHeader } from '../match/header.ts';
import { type MetadataTest, readMetadata } from '../match/metadata.ts';
import { type Regex, readRegex } from '../match/regex.ts';
import { readString, type StringTest } from '../match/string.ts';
import { type PathTemplate, readTemplate } from '../match/template.ts';
import { isGrpcRequest } from '../request/grpc.ts';
import { headerOf, type RequestView } from '../request/view.ts';

export type PathMatch =
  | { readonly kind: 'exact'; readonly path: string; readonly folds: boolean }
  | { readonly kind: 'prefix'; readonly prefix: string; readonly folds: boolean }
  /** The prefix, and after it nothing or a slash. */
  | { readonly kind: 'segments'; readonly prefix: string; readonly folds: boolean }
  | { readonly kind: 'regex'; readonly regex: Regex }
  | { readonly kind: 'template'; readonly template: PathTemplate }
  | { readonly kind: 'connect' };

export interface RouteMatch {
  readonly path: PathMatch;
  /** Of 1,000,000; undefined: always. */
  readonly perMillion: number | undefined;
  readonly headers: readonly HeaderTest[];
  readonly query: readonly QueryTest[];
  readonly grpcOnly: boolean;
  readonly presented: boolean | undefined;
  readonly validated: boolean | undefined;
  readonly metadata: readonly MetadataTest[];
  readonly filterState: readonly FilterStateTest[];
}

interface FilterStateTest {
  readonly key: string;
  readonly test: StringTest;
}

interface QueryTest {
  readonly name: string;
  readonly test: StringTest | undefined;
}

export function readMatch(fields: Fields): RouteMatch {
  const tls = fields.read('tls_context', (f) => ({
    presented: f.wrappedFlag('presented'),
    validated: f.wrappedFlag('validated'),
  }));
  return {
    path: readPath(fields),
    perMillion: fields.read('runtime_fraction', readRuntimeFraction),
    headers: fields.readAll('headers', readHeader),
    query: fields.readAll('query_parameters', readQuery),
    grpcOnly: fields.read('grpc', () => true) ?? false,
    presented: tls?.presented,
    validated: tls?.validated,
    metadata: fields.readAll('dynamic_metadata', readMetadata),
    filterState: fields.readAll('filter_state', readFilterState),
  };
}

function readPath(fields: Fields): PathMatch {
  const folds = !(fields.wrappedFlag('case_sensitive') ?? true);
  const fold = (text: string) => (folds ? text.toLowerCase() : text);
  const which = fields.which(
    'prefix',
    'path',
    'safe_regex',
    'connect_matcher',
    'path_separated_prefix',
    'path_match_policy',
  );
  switch (which) {
    case 'prefix':
      return { kind: 'prefix', prefix: fold(fields.text(which)), folds };
    case 'path':
      return { kind: 'exact', path: fold(fields.text(which)), folds };
    case 'path_separated_prefix': {
      const prefix = fields.text(which);
      if (!/^[^?#]+[^?#/]$/.test(prefix)) {
        throw fields.refusal(which, `${JSON.stringify(prefix)} must be longer than /, without ?, # and / at its end`);
      }
      return { kind: 'segments', prefix: fold(prefix), folds };
    }
    case 'safe_regex':
      return { kind: 'regex', regex: fields.required(which, readRegex) };
    case 'connect_matcher':
      fields.read(which, () => undefined);
      return { kind: 'connect' };
    case 'path_match_policy':
      return { kind: 'template', template: fields.required(which, readTemplate) };
    case undefined:
      throw fields.refusal('path_specifier', 'is missing');
  }
}

function readFilterState(fields: Fields): FilterStateTest {
  const key = fields.text('key');
  if (key === '') throw fields.refusal('key', 'is empty');
  return { key, test: fields.required('string_match', readString) };
}

export function readQuery(fields: Fields): QueryTest {
  const name = fields.text('name');
  if (name === '') throw fields.refusal('name', 'is empty');
  const test = fields.read('string_match', readString);
  // Envoy asks for the parameter whatever the value of this field.
  fields.harmless('present_match');
  return { name, test };
}

/** Of 1,000,000. There is no runtime layer: the default holds. */
export function readRuntimeFraction(fields: Fields): number {
  fields.harmless('runtime_key');
  return fields.required('default_value', readFraction);
}

/** An envoy.type.v3.FractionalPercent as parts of 1,000,000. */
export function readFraction(fields: Fields): number {
  const numerator = fields.number('numerator');
  const scale = fields.choice('denominator', 'HUNDRED', { HUNDRED: 10_000, TEN_THOUSAND: 100, MILLION: 1 }) ?? 0;
  return Math.min(numerator * scale, 1_000_000);
}

/** `random`: from 0 to below 1. */
export function happens(perMillion: number, random: number): boolean {
  return random * 1_000_000 < perMillion;
}

/** All but path and chance; `path` with query. */
export function matchesRest(match: RouteMatch, view: RequestView): boolean {
  if (match.grpcOnly && !isGrpcRequest(view.headers)) return false;
  if (match.headers.length > 0) {
    const read = (name: string) => headerOf(view, name);
    for (const header of match.headers) if (!header.matches(read)) return false;
  }
  if (match.query.length > 0 && !matchesQuery(match.query, view.path)) return false;
  const { presented, validated } = match;
  if (presented !== undefined && presented !== (view.connection.peerCertificate !== undefined)) return false;
  if (validated !== undefined && validated !== (view.connection.peerCertificate === 'verified')) return false;
  if (!match.metadata.every((test) => test(view.metadata))) return false;
  return match.filterState.every(({ key, test }) => {
    const value = view.connection.filterState.get(key);
    return value !== undefined && test(value);
  });
}

export function matchesQuery(tests: readonly QueryTest[], path: string): boolean {
  const parameters = queryOf(path);
  return tests.every(({ name, test }) => {
    const value = parameters.get(name);
    return value !== undefined && (test === undefined || test(value));
  });
}

/** Names and their first values, as they are written. */
export function queryOf(path: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const mark = path.indexOf('?');
  if (mark < 0) return found;
  for (const pair of path.slice(mark + 1).split('&')) {
    const equals = pair.indexOf('=');
    const name = equals < 0 ? pair : pair.slice(0, equals);
    if (!found.has(name)) found.set(name, equals < 0 ? '' : pair.slice(equals + 1));
  }
  return found;
}
