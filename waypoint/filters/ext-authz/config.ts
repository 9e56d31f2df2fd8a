/** Reads envoy.extensions.filters.http.ext_authz.v3: the filter and what routes say to it. */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { Fields } from '../../../common/envoy/fields.ts';
import { type MetadataTest, readMetadata } from '../../match/metadata.ts';
import { readString, type StringTest } from '../../match/string.ts';
import { readFraction } from '../../route/match.ts';
import { readHttpStatus } from '../http-status.ts';

export interface Config {
  readonly service: Service;
  readonly body: BodySettings | undefined;
  readonly failureModeAllow: boolean;
  readonly failureModeHeader: boolean;
  readonly statusOnError: number;
  readonly clearRouteCache: boolean;
  readonly metadataNamespaces: readonly string[];
  readonly routeMetadataNamespaces: readonly string[];
  /** Of 1,000,000 requests. */
  readonly share: number;
  readonly enabledBy: MetadataTest | undefined;
  readonly denyAtDisable: boolean;
  /** `ext_authz.` with the prefix. */
  readonly statPrefix: string;
  /** Which request headers the service sees. */
  readonly sends: StringTest;
  readonly rawHeaders: boolean;
  readonly tlsSession: boolean;
  readonly takesMetadata: boolean;
  readonly chargesCluster: boolean;
}

export type Service = GrpcService | HttpService;

export interface GrpcService {
  readonly kind: 'grpc';
  readonly cluster: string;
  readonly authority: string | undefined;
  readonly timeout: Millis;
  readonly metadata: readonly (readonly [string, string])[];
  /** Bytes. */
  readonly most: number;
}

export interface HttpService {
  readonly kind: 'http';
  readonly cluster: string;
  readonly timeout: Millis;
  readonly pathPrefix: string;
  readonly add: readonly (readonly [string, string])[];
  /** Of the service's answer, to the request. */
  readonly toUpstream: StringTest;
  readonly toUpstreamAppended: StringTest;
  /** Of a denial, to the client. */
  readonly toClient: StringTest;
  readonly toClientOnSuccess: StringTest;
  readonly toMetadata: StringTest;
}

export interface BodySettings {
  /** Bytes. */
  readonly most: number;
  readonly partial: boolean;
  readonly asBytes: boolean;
}

export type RouteSays =
  | { readonly kind: 'disabled' }
  | {
      readonly kind: 'settings';
      readonly extensions: readonly (readonly [string, string])[];
      readonly withoutBody: boolean;
      readonly body: BodySettings | undefined;
    };

/** Envoy's, where the service has none of its own. */
const defaultTimeout = millis(200);
/** Bytes of an answer. */
const mostAnswer = 1_048_576;

export function readConfig(fields: Fields): Config {
  // Headers that are none are refused whether or not it asks for that.
  fields.harmless('validate_mutations');
  const which = fields.which('grpc_service', 'http_service');
  if (which === undefined) throw fields.refusal('services', 'is neither grpc_service nor http_service');
  fields.choice('transport_api_version', 'AUTO', { AUTO: true, V3: true });
  const http = which === 'http_service' ? fields.message('http_service') : undefined;
  // Its older place.
  const older = http?.message('authorization_request');
  const holder = older?.has('allowed_headers') ? older : fields;
  const service = which === 'grpc_service' ? fields.required(which, readGrpc) : fields.required(which, readHttp);
  const allowed = readTests(holder, 'allowed_headers');
  const disallowed = anyOf(readTests(fields, 'disallowed_headers'));
  const always = service.kind === 'http' ? httpAlways : undefined;
  const all = service.kind === 'grpc' && allowed.length === 0;
  const accepted = anyOf(allowed);
  const prefix = fields.text('stat_prefix');
  return {
    service,
    body: fields.read('with_request_body', readBody),
    failureModeAllow: fields.flag('failure_mode_allow'),
    failureModeHeader: fields.flag('failure_mode_allow_header_add'),
    statusOnError: fields.read('status_on_error', readHttpStatus) ?? 403,
    clearRouteCache: fields.flag('clear_route_cache'),
    metadataNamespaces: fields.texts('metadata_context_namespaces'),
    routeMetadataNamespaces: fields.texts('route_metadata_context_namespaces'),
    share: fields.read('filter_enabled', readShare) ?? 1_000_000,
    enabledBy: fields.read('filter_enabled_metadata', readMetadata),
    denyAtDisable: fields.read('deny_at_disable', readFeature) ?? false,
    statPrefix: prefix === '' ? 'ext_authz.' : `ext_authz.${prefix}${prefix.endsWith('.') ? '' : '.'}`,
    sends: (name) => (all || always?.has(name) === true || accepted(name)) && !disallowed(name),
    rawHeaders: fields.flag('encode_raw_headers'),
    tlsSession: fields.flag('include_tls_session'),
    takesMetadata: fields.wrappedFlag('enable_dynamic_metadata_ingestion') ?? true,
    chargesCluster: fields.wrappedFlag('charge_cluster_response_stats') ?? true,
  };
}

function readShare(fields: Fields): number {
  fields.harmless('runtime_key');
  return fields.required('default_value', readFraction);
}

function readFeature(fields: Fields): boolean {
  fields.harmless('runtime_key');
  return fields.wrappedFlag('default_value') ?? false;
}

function readGrpc(fields: Fields): GrpcService {
  if (fields.which('envoy_grpc', 'google_grpc') === 'google_grpc') throw fields.unsupported('google_grpc');
  const envoy = fields.required('envoy_grpc', (f) => ({
    cluster: clusterName(f, 'cluster_name'),
    authority: f.text('authority') || undefined,
    most: f.wrapped('max_receive_message_length') ?? mostAnswer,
  }));
  const metadata = fields.readAll('initial_metadata', readHeader);
  return { kind: 'grpc', ...envoy, metadata, timeout: fields.duration('timeout', 1) ?? defaultTimeout };
}

function readHttp(fields: Fields): HttpService {
  const uri = fields.required('server_uri', (f) => {
    // Only its cluster is asked.
    f.harmless('uri');
    return { cluster: clusterName(f, 'cluster'), timeout: f.duration('timeout', 1) ?? defaultTimeout };
  });
  const pathPrefix = fields.text('path_prefix');
  if (pathPrefix !== '' && !pathPrefix.startsWith('/'))
    throw fields.refusal('path_prefix', `${JSON.stringify(pathPrefix)} does not begin with a slash`);
  const add = fields.read('authorization_request', (f) => f.readAll('headers_to_add', readHeader)) ?? [];
  const answers = fields.message('authorization_response');
  const tests = (name: string) => (answers ? readTests(answers, name) : []);
  const toClient = tests('allowed_client_headers');
  const listed = anyOf(toClient);
  return {
    kind: 'http',
    ...uri,
    pathPrefix,
    add,
    toUpstream: anyOf(tests('allowed_upstream_headers')),
    toUpstreamAppended: anyOf(tests('allowed_upstream_headers_to_append')),
    toClient: toClient.length === 0 ? () => true : (name) => clientAlways.has(name) || listed(name),
    toClientOnSuccess: anyOf(tests('allowed_client_headers_on_success')),
    toMetadata: anyOf(tests('dynamic_metadata_from_headers')),
  };
}

const httpAlways: ReadonlySet<string> = new Set([':method', ':path', ':authority', 'authorization']);
const clientAlways: ReadonlySet<string> = new Set(['www-authenticate', 'location']);

function clusterName(fields: Fields, name: string): string {
  const cluster = fields.text(name);
  if (cluster === '') throw fields.refusal(name, 'is empty');
  return cluster;
}

function readHeader(fields: Fields): readonly [string, string] {
  const name = fields.text('key').toLowerCase();
  if (name === '' || name.startsWith(':')) throw fields.refusal('key', `${JSON.stringify(name)} may not be set`);
  const raw = fields.has('raw_value') ? fields.bytes('raw_value') : Buffer.from(fields.text('value'));
  return [name, raw.toString('latin1')];
}

function readBody(fields: Fields): BodySettings {
  const most = fields.number('max_request_bytes');
  if (most === 0) throw fields.refusal('max_request_bytes', 'must be more than 0');
  return { most, partial: fields.flag('allow_partial_message'), asBytes: fields.flag('pack_as_bytes') };
}

/** A ListStringMatcher. */
function readTests(fields: Fields, name: string): readonly StringTest[] {
  return fields.read(name, (f) => f.readAll('patterns', readString)) ?? [];
}

function anyOf(tests: readonly StringTest[]): StringTest {
  return (value) => tests.some((test) => test(value));
}

export function readRouteSays(fields: Fields): RouteSays {
  if (fields.which('disabled', 'check_settings') === 'disabled') {
    if (!fields.flag('disabled')) throw fields.refusal('disabled', 'must be true');
    return { kind: 'disabled' };
  }
  return fields.required('check_settings', (f) => {
    const withoutBody = f.flag('disable_request_body_buffering');
    const body = f.read('with_request_body', readBody);
    if (withoutBody && body)
      throw f.refusal('with_request_body', 'and disable_request_body_buffering contradict each other');
    return { kind: 'settings', extensions: f.textMap('context_extensions'), withoutBody, body };
  });
}
