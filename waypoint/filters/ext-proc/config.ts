/** Reads envoy.extensions.filters.http.ext_proc.v3: the filter and what routes say to it. */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import { compileExpression, type Expression } from '../../expression/expression.ts';
import { readString, type StringTest } from '../../match/string.ts';
import { readHttpStatus } from '../http-status.ts';
import { type MutationRules, readMutationRules } from './mutation-rules.ts';

/** What a service is sent of one direction. */
export interface DirectionMode {
  readonly headers: boolean;
  readonly body: BodyMode;
  readonly trailers: boolean;
}

export type BodyMode = 'none' | 'streamed' | 'buffered' | 'partial';

export interface Mode {
  readonly request: DirectionMode;
  readonly response: DirectionMode;
}

export interface GrpcService {
  readonly cluster: string;
  readonly authority: string | undefined;
  /** Of a whole stream. */
  readonly timeout: Millis | undefined;
  readonly metadata: readonly (readonly [string, string])[];
  /** Bytes of a message. */
  readonly most: number;
}

export interface Attribute {
  readonly name: string;
  readonly value: Expression;
}

/** What a route may say, too. */
export interface Processing {
  readonly service: GrpcService;
  readonly mode: Mode;
  readonly failureModeAllow: boolean;
  readonly requestAttributes: readonly Attribute[];
  readonly responseAttributes: readonly Attribute[];
  /** Namespaces of dynamic metadata that the service is told. */
  readonly tells: readonly string[];
  /** Namespaces that it may write. */
  readonly takes: readonly string[];
}

export interface Config extends Processing {
  /** `ext_proc.` with the prefix. */
  readonly statPrefix: string;
  /** For each answer. */
  readonly messageTimeout: Millis;
  /** undefined: a service may not ask for more time. */
  readonly maxMessageTimeout: Millis | undefined;
  readonly rules: MutationRules;
  /** Which headers the service sees. */
  readonly sends: StringTest;
  readonly allowModeOverride: boolean;
  /** Empty: any. */
  readonly allowedModes: readonly Mode[];
  readonly disableImmediateResponse: boolean;
  readonly routeCache: 'default' | 'clear' | 'retain';
  readonly statusOnError: number;
  readonly keepsContentLength: boolean;
}

export type RouteSays =
  | { readonly kind: 'disabled' }
  | {
      readonly kind: 'overrides';
      readonly processing: Partial<Processing>;
      readonly metadata: GrpcService['metadata'];
    };

const defaultTimeout = millis(200);
/** Bytes of a message; Envoy's buffers hold 1 MiB of a body by default. */
const mostMessage = 4_194_304;
const hour = 3_600_000;

export function readConfig(fields: Fields): Config {
  if (fields.has('http_service')) throw fields.unsupported('http_service');
  const service = fields.required('grpc_service', readGrpc);
  const forward = fields.message('forward_rules');
  const allowed = forward ? readTests(forward, 'allowed_headers') : undefined;
  const disallowed = forward ? readTests(forward, 'disallowed_headers') : undefined;
  const prefix = fields.text('stat_prefix');
  const max = fields.duration('max_message_timeout', 0, hour);
  // For access loggers that are made for it.
  fields.harmless('filter_metadata');
  const clears = fields.choice('route_cache_action', 'DEFAULT', {
    DEFAULT: 'default',
    CLEAR: 'clear',
    RETAIN: 'retain',
  } as const);
  const retains = fields.flag('disable_clear_route_cache');
  if (retains && clears !== 'default')
    fields.mistake('disable_clear_route_cache', 'and route_cache_action contradict each other');
  const metadata = fields.message('metadata_options');
  return {
    service,
    mode: fields.read('processing_mode', readMode) ?? defaultMode,
    failureModeAllow: fields.flag('failure_mode_allow'),
    requestAttributes: readAttributes(fields, 'request_attributes'),
    responseAttributes: readAttributes(fields, 'response_attributes'),
    ...{ tells: [], takes: [] },
    ...(metadata && readMetadataOptions(metadata)),
    statPrefix: prefix === '' ? 'ext_proc.' : `ext_proc.${prefix}${prefix.endsWith('.') ? '' : '.'}`,
    messageTimeout: fields.duration('message_timeout', 0, hour) ?? defaultTimeout,
    maxMessageTimeout: max === undefined || max < 1 ? undefined : max,
    rules: fields.read('mutation_rules', readMutationRules) ?? {},
    sends: (name) => (allowed === undefined || allowed(name)) && !disallowed?.(name),
    allowModeOverride: fields.flag('allow_mode_override'),
    allowedModes: fields.readAll('allowed_override_modes', readMode),
    disableImmediateResponse: fields.flag('disable_immediate_response'),
    routeCache: retains ? 'retain' : (clears ?? 'default'),
    statusOnError: fields.read('status_on_error', readHttpStatus) ?? 500,
    keepsContentLength: fields.flag('allow_content_length_header'),
  };
}

const defaultMode: Mode = {
  request: { headers: true, body: 'none', trailers: false },
  response: { headers: true, body: 'none', trailers: false },
};

const bodyModes = { NONE: 'none', STREAMED: 'streamed', BUFFERED: 'buffered', BUFFERED_PARTIAL: 'partial' } as const;

export function readMode(fields: Fields): Mode {
  const direction = (name: 'request' | 'response'): DirectionMode => ({
    headers: fields.choice(`${name}_header_mode`, 'DEFAULT', { DEFAULT: true, SEND: true, SKIP: false }) ?? true,
    body: fields.choice(`${name}_body_mode`, 'NONE', bodyModes) ?? 'none',
    trailers: fields.choice(`${name}_trailer_mode`, 'DEFAULT', { DEFAULT: false, SEND: true, SKIP: false }) ?? false,
  });
  return { request: direction('request'), response: direction('response') };
}

function readGrpc(fields: Fields): GrpcService {
  if (fields.which('envoy_grpc', 'google_grpc') === 'google_grpc') throw fields.unsupported('google_grpc');
  const envoy = fields.required('envoy_grpc', (f) => {
    const cluster = f.text('cluster_name');
    if (cluster === '') throw f.refusal('cluster_name', 'is empty');
    const most = f.wrapped('max_receive_message_length') ?? mostMessage;
    return { cluster, authority: f.text('authority') || undefined, most };
  });
  const metadata = fields.readAll('initial_metadata', readHeader);
  return { ...envoy, metadata, timeout: fields.duration('timeout', 1) };
}

function readHeader(fields: Fields): readonly [string, string] {
  const name = fields.text('key').toLowerCase();
  if (name === '' || name.startsWith(':')) throw fields.refusal('key', `${JSON.stringify(name)} may not be set`);
  const raw = fields.has('raw_value') ? fields.bytes('raw_value') : Buffer.from(fields.text('value'));
  return [name, raw.toString('latin1')];
}

/** A ListStringMatcher; undefined: there is none. */
function readTests(fields: Fields, name: string): StringTest | undefined {
  const tests = fields.read(name, (f) => f.readAll('patterns', readString));
  return tests && ((value) => tests.some((test) => test(value)));
}

function readAttributes(fields: Fields, field: string): readonly Attribute[] {
  return fields.texts(field).map((name) => {
    try {
      return { name, value: compileExpression(name) };
    } catch (e) {
      throw fields.refusal(field, `${JSON.stringify(name)}: ${(e as Error).message}`);
    }
  });
}

function readMetadataOptions(fields: Fields): Pick<Processing, 'tells' | 'takes'> {
  const untyped = (name: string) => fields.message(name)?.texts('untyped') ?? [];
  return { tells: untyped('forwarding_namespaces'), takes: untyped('receiving_namespaces') };
}

export function readRouteSays(fields: Fields): RouteSays {
  if (fields.which('disabled', 'overrides') === 'disabled') {
    if (!fields.flag('disabled')) throw fields.refusal('disabled', 'must be true');
    return { kind: 'disabled' };
  }
  return fields.required('overrides', (f) => {
    const mode = f.read('processing_mode', readMode);
    const service = f.read('grpc_service', readGrpc);
    const allow = f.wrappedFlag('failure_mode_allow');
    const metadata = f.message('metadata_options');
    return {
      kind: 'overrides',
      processing: {
        ...(mode && { mode }),
        ...(service && { service }),
        ...(allow !== undefined && { failureModeAllow: allow }),
        ...(f.has('request_attributes') && { requestAttributes: readAttributes(f, 'request_attributes') }),
        ...(f.has('response_attributes') && { responseAttributes: readAttributes(f, 'response_attributes') }),
        ...(metadata && readMetadataOptions(metadata)),
      },
      metadata: f.readAll('grpc_initial_metadata', readHeader),
    };
  });
}

/** What holds for a request: of equal fields the most specific level's. `levels`: the most specific first. */
export function processingOf(config: Config, levels: readonly RouteSays[]): Processing {
  const overrides = levels.flatMap((level) => (level.kind === 'overrides' ? [level] : [])).toReversed();
  const merged: Processing = Object.assign({}, config, ...overrides.map((level) => level.processing));
  const metadata = overrides.flatMap((level) => level.metadata);
  if (metadata.length === 0) return merged;
  const names = new Set(metadata.map(([name]) => name));
  const kept = merged.service.metadata.filter(([name]) => !names.has(name));
  return { ...merged, service: { ...merged.service, metadata: [...kept, ...metadata] } };
}
