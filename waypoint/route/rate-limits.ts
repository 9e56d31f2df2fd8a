/** envoy.config.route.v3.RateLimit: what of a request its limit is by. */
import { firstOf, formatCidr, isIpv6, parseIp } from '../../common/core/net.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import { readHeader } from '../match/header.ts';
import { firstHeaderOf, headerOf, type RequestView } from '../request/view.ts';
import { matchesQuery, readQuery } from './match.ts';

export interface DescriptorEntry {
  readonly key: string;
  readonly value: string;
}

/** What is counted together. */
export type Descriptor = readonly DescriptorEntry[];

/** What limits are asked of. */
export interface LimitedRequest {
  readonly view: RequestView;
  /** That routing chose; undefined: none. */
  readonly cluster: string | undefined;
  readonly routeMetadata: Readonly<Record<string, unknown>> | undefined;
}

export interface RateLimit {
  /** Filters ask for those of one stage: 0 to 10. */
  readonly stage: number;
  readonly actions: readonly Action[];
}

/** Those of a route. */
export interface RouteLimits {
  readonly ofRoute: readonly RateLimit[];
  readonly ofHost: readonly RateLimit[];
  /** include_vh_rate_limits: those of the virtual host count beside the route's. */
  readonly includesHost: boolean;
}

/** `left-out`: the entry is, the others stay. `none`: nothing is limited by this. */
export type Action = (request: LimitedRequest) => DescriptorEntry | 'left-out' | 'none';

/** One for each limit that has something to go by. */
export function descriptorsOf(
  limits: readonly RateLimit[],
  stage: number,
  request: LimitedRequest,
): readonly Descriptor[] {
  const made: Descriptor[] = [];
  for (const limit of limits) {
    const descriptor = limit.stage === stage ? descriptorOf(limit, request) : undefined;
    if (descriptor) made.push(descriptor);
  }
  return made;
}

function descriptorOf({ actions }: RateLimit, request: LimitedRequest): Descriptor | undefined {
  const entries: DescriptorEntry[] = [];
  for (const action of actions) {
    const entry = action(request);
    if (entry === 'none') return undefined;
    if (entry !== 'left-out') entries.push(entry);
  }
  return entries.length === 0 ? undefined : entries;
}

export function readRateLimit(fields: Fields): RateLimit {
  // There is no runtime layer that could turn a limit off.
  fields.harmless('disable_key');
  const actions = fields.readAll('actions', readAction);
  if (actions.length === 0) throw fields.refusal('actions', 'is empty');
  return { stage: fields.wrapped('stage', 0, 10) ?? 0, actions };
}

function readAction(fields: Fields): Action {
  const which = fields.which(
    'destination_cluster',
    'request_headers',
    'remote_address',
    'masked_remote_address',
    'generic_key',
    'header_value_match',
    'query_parameter_value_match',
    'metadata',
    'extension',
    'source_cluster',
    'dynamic_metadata',
  );
  switch (which) {
    case 'destination_cluster':
      fields.read(which, () => undefined);
      return ({ cluster }) => (cluster === undefined ? 'none' : { key: 'destination_cluster', value: cluster });
    case 'request_headers':
      return fields.required(which, readByHeader);
    case 'remote_address':
      fields.read(which, () => undefined);
      return ({ view }) => addressEntry('remote_address', view.connection.remote.address);
    case 'generic_key': {
      return fields.required(which, (f) => {
        const entry = { key: f.text('descriptor_key') || 'generic_key', value: filled(f, 'descriptor_value') };
        return () => entry;
      });
    }
    case 'header_value_match':
      return fields.required(which, readHeaderMatch);
    case 'query_parameter_value_match':
      return fields.required(which, readQueryMatch);
    case 'metadata':
      return fields.required(which, readByMetadata);
    case 'extension':
      return fields.required(which, readExtension);
    case 'masked_remote_address':
      return fields.required(which, readMasked);
    case 'source_cluster':
    case 'dynamic_metadata':
      throw fields.unsupported(which);
    case undefined:
      throw fields.refusal('action_specifier', 'is missing');
  }
}

function addressEntry(key: string, address: string): DescriptorEntry | 'none' {
  return address === '' ? 'none' : { key, value: address };
}

function readMasked(fields: Fields): Action {
  const ofIpv4 = fields.wrapped('v4_prefix_mask_len', 0, 32) ?? 32;
  const ofIpv6 = fields.wrapped('v6_prefix_mask_len', 0, 128) ?? 128;
  return ({ view }) => {
    const ip = parseIp(view.connection.remote.address);
    if (ip === undefined) return 'none';
    const range = firstOf({ ip, length: isIpv6(ip) ? ofIpv6 : ofIpv4 });
    return { key: 'masked_remote_address', value: formatCidr(range) };
  };
}

function filled(fields: Fields, name: string): string {
  const value = fields.text(name);
  if (value === '') throw fields.refusal(name, 'is empty');
  // Newer Envoys take formats there.
  if (value.includes('%')) throw fields.refusal(name, 'formats are not supported');
  return value;
}

function readByHeader(fields: Fields): Action {
  const name = filled(fields, 'header_name').toLowerCase();
  const key = filled(fields, 'descriptor_key');
  const absent = fields.flag('skip_if_absent') ? 'left-out' : 'none';
  return ({ view }) => {
    const value = firstHeaderOf(view, name);
    return value === undefined ? absent : { key, value };
  };
}

function readHeaderMatch(fields: Fields): Action {
  const entry = { key: fields.text('descriptor_key') || 'header_match', value: filled(fields, 'descriptor_value') };
  const expected = fields.wrappedFlag('expect_match') ?? true;
  const tests = fields.readAll('headers', readHeader);
  if (tests.length === 0) throw fields.refusal('headers', 'is empty');
  return ({ view }) => {
    const matches = tests.every((test) => test.matches((name) => headerOf(view, name)));
    return matches === expected ? entry : 'none';
  };
}

function readQueryMatch(fields: Fields): Action {
  const entry = { key: fields.text('descriptor_key') || 'query_match', value: filled(fields, 'descriptor_value') };
  const expected = fields.wrappedFlag('expect_match') ?? true;
  const tests = fields.readAll('query_parameters', readQuery);
  if (tests.length === 0) throw fields.refusal('query_parameters', 'is empty');
  return ({ view }) => (matchesQuery(tests, view.path) === expected ? entry : 'none');
}

function readByMetadata(fields: Fields): Action {
  const key = filled(fields, 'descriptor_key');
  const { filter, path } = fields.required('metadata_key', (f) => ({
    filter: filled(f, 'key'),
    path: f.readAll('path', (segment) => filled(segment, 'key')),
  }));
  const fallback = fields.text('default_value');
  const absent = fields.flag('skip_if_absent') ? 'left-out' : 'none';
  const source = fields.choice('source', 'DYNAMIC', { DYNAMIC: 'dynamic', ROUTE_ENTRY: 'route' } as const);
  return ({ view, routeMetadata }) => {
    let value: unknown = source === 'route' ? routeMetadata?.[filter] : view.metadata.get(filter);
    for (const name of path) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
    // Other types than texts do not count, as in Envoy.
    const text = typeof value === 'string' && value !== '' ? value : fallback;
    return text === '' ? absent : { key, value: text };
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

const filterState = 'type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.FilterStateInput';

/** Inputs of matchers may stand there: the name of the extension is the key. */
function readExtension(fields: Fields): Action {
  const key = filled(fields, 'name');
  return fields.required('typed_config', (f) => {
    if (f.type !== filterState) throw f.refusal('[type]', `${f.type} is not supported`);
    const state = filled(f, 'key');
    return ({ view }) => {
      const value = view.connection.filterState.get(state);
      return value === undefined || value === '' ? 'none' : { key, value };
    };
  });
}
