/** The protocol over gRPC: envoy.service.auth.v3.Authorization/Check. */
import type protobuf from 'protobufjs';
import { type JsonValue, structFromJson } from '../../../common/api/struct.ts';
import { type Struct, structToJson } from '../../../common/envoy/fields.ts';
import { envoyMessage } from '../../../common/envoy/protos.ts';
import type { Address } from '../../request/view.ts';
import type { GrpcAnswer, GrpcCall } from '../caller.ts';
import type { FilterContext } from '../filter.ts';
import type { Config, GrpcService } from './config.ts';
import type { HeaderEdit, Outcome } from './outcome.ts';
import { asUtf8, type Check, chosen, routeMetadata, sanitize } from './request.ts';

const path = '/envoy.service.auth.v3.Authorization/Check';

export function grpcCall(config: Config, service: GrpcService, check: Check, context: FilterContext): GrpcCall {
  const { cluster, authority, timeout, metadata, most } = service;
  const message = encode({ attributes: attributesOf(config, check, context) });
  return { cluster, path, authority, metadata, message, timeout, most };
}

let checks = 0;

function attributesOf(config: Config, { view, headers, body, extensions }: Check, context: FilterContext): object {
  const { connection } = view;
  const startTime = context.format.facts.startTime;
  const service = view.headers.get('x-envoy-downstream-service-cluster');
  checks++;
  const http = {
    id: String(checks),
    method: view.method,
    path: asUtf8(view.path),
    host: asUtf8(view.authority),
    scheme: view.scheme,
    size: context.format.facts.bytesReceived ?? 0,
    protocol: view.protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1',
    ...(config.rawHeaders
      ? { header_map: { headers: headers.map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') })) } }
      : { headers: Object.fromEntries(headers.map(([key, value]) => [key, asUtf8(value)])) }),
    ...(body && (body.asBytes ? { raw_body: body.bytes } : { body: sanitize(body.bytes) })),
  };
  return {
    source: {
      ...peer(connection.source, connection.principal),
      ...(service !== undefined && { service: asUtf8(service) }),
    },
    destination: peer(connection.local, connection.localPrincipal),
    request: { time: { seconds: Math.floor(startTime / 1_000), nanos: (startTime % 1_000) * 1_000_000 }, http },
    context_extensions: extensions,
    metadata_context: structs(chosen(view.metadata, config.metadataNamespaces)),
    route_metadata_context: structs(chosen(routeMetadata(context), config.routeMetadataNamespaces)),
    ...(config.tlsSession && connection.sni !== undefined && { tls_session: { sni: asUtf8(connection.sni) } }),
  };
}

function peer({ address, port }: Address, principal: string | undefined): object {
  return {
    ...(address !== '' && { address: { socket_address: { address, port_value: port } } }),
    ...(principal !== undefined && { principal }),
  };
}

function structs(entries: readonly (readonly [string, object])[]): object {
  const made = entries.map(([name, value]) => [name, structFromJson(value as Record<string, JsonValue>)]);
  return { filter_metadata: Object.fromEntries(made) };
}

let request: protobuf.Type | undefined;
let response: protobuf.Type | undefined;

function encode(message: object): Buffer {
  request ??= envoyMessage('envoy.service.auth.v3.CheckRequest')!;
  const bytes = request.encode(request.fromObject(message)).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function grpcOutcome(answer: GrpcAnswer): Outcome {
  switch (answer.kind) {
    case 'failed':
      return { kind: 'error', why: answer.detail };
    case 'status':
      return { kind: 'error', why: `gRPC status ${answer.code}${answer.text === '' ? '' : `: ${answer.text}`}` };
    case 'answered':
      return decode(answer.message);
  }
}

/** As protobufjs makes it: lists are always there. */
interface CheckResponse {
  readonly status?: { readonly code?: number } | null;
  readonly denied_response?: {
    readonly status?: { readonly code?: number } | null;
    readonly headers: readonly HeaderOption[];
    readonly body?: string;
  } | null;
  readonly ok_response?: {
    readonly headers: readonly HeaderOption[];
    readonly headers_to_remove: readonly string[];
    readonly dynamic_metadata?: object | null;
    readonly response_headers_to_add: readonly HeaderOption[];
    readonly query_parameters_to_set: readonly { readonly key?: string; readonly value?: string }[];
    readonly query_parameters_to_remove: readonly string[];
  } | null;
  readonly dynamic_metadata?: object | null;
}

interface HeaderOption {
  readonly header?: { readonly key?: string; readonly value?: string; readonly raw_value?: Uint8Array } | null;
  readonly append?: { readonly value?: boolean } | null;
  readonly append_action?: number;
}

function decode(bytes: Buffer): Outcome {
  response ??= envoyMessage('envoy.service.auth.v3.CheckResponse')!;
  try {
    // What is not there is absent then, and not its default.
    return outcomeOf(response.toObject(response.decode(bytes), { arrays: true }) as CheckResponse);
  } catch {
    // Among it a struct that is deeper than the stack.
    return { kind: 'error', why: 'the answer is no CheckResponse' };
  }
}

function outcomeOf(message: CheckResponse): Outcome {
  const { denied_response: denied, ok_response: ok } = message;
  const struct = ok?.dynamic_metadata ?? message.dynamic_metadata;
  const metadata: Struct | undefined = struct ? structToJson(struct as Parameters<typeof structToJson>[0]) : undefined;
  if ((message.status?.code ?? 0) !== 0) {
    return {
      kind: 'denied',
      status: denied?.status?.code || 403,
      headers: (denied?.headers ?? []).map((option) => edit(option, requestAction(option))),
      body: denied?.body ?? '',
      metadata,
    };
  }
  return {
    kind: 'ok',
    request: (ok?.headers ?? []).map((option) => edit(option, requestAction(option))),
    remove: (ok?.headers_to_remove ?? []).map((name) => name.toLowerCase()),
    query: {
      set: (ok?.query_parameters_to_set ?? []).map(({ key = '', value = '' }) => [key, value] as const),
      remove: ok?.query_parameters_to_remove ?? [],
    },
    response: (ok?.response_headers_to_add ?? []).map((option) => edit(option, responseAction(option))),
    metadata,
  };
}

function edit({ header }: HeaderOption, action: HeaderEdit['action']): HeaderEdit {
  const raw = header?.raw_value?.length ? Buffer.from(header.raw_value) : Buffer.from(header?.value ?? '');
  return { name: (header?.key ?? '').toLowerCase(), value: raw.toString('latin1'), action };
}

/** The older field alone counts for requests and denials. */
function requestAction({ append }: HeaderOption): HeaderEdit['action'] {
  return append?.value === true ? 'append-if-exists' : 'set';
}

const actions = ['add', 'add-if-absent', 'set', 'set-if-exists'] as const;

function responseAction({ append, append_action: action = 0 }: HeaderOption): HeaderEdit['action'] {
  if (append) return append.value === true ? 'add' : 'set';
  return actions[action] ?? 'add';
}
