/** The protocol: envoy.service.ext_proc.v3.ExternalProcessor/Process. */
import type protobuf from 'protobufjs';
import { type JsonValue, structFromJson } from '../../../common/api/struct.ts';
import { type Struct, structToJson } from '../../../common/envoy/fields.ts';
import { envoyMessage } from '../../../common/envoy/protos.ts';
import type { Headers } from '../../request/headers.ts';
import type { BodyMode, DirectionMode, Mode } from './config.ts';
import type { BodyMutation, HeaderMutation, HeaderSetting } from './mutate.ts';

export const processPath = '/envoy.service.ext_proc.v3.ExternalProcessor/Process';

export type DirectionName = 'request' | 'response';

/** What one message tells the service. */
export type Part =
  | { readonly kind: 'headers'; readonly headers: readonly (readonly [string, string])[]; readonly ended: boolean }
  | { readonly kind: 'body'; readonly body: Buffer; readonly ended: boolean }
  | { readonly kind: 'trailers'; readonly trailers: Headers };

export interface Surroundings {
  /** Dynamic metadata by namespace. */
  readonly metadata: readonly (readonly [string, object])[];
  readonly attributes: Readonly<Record<string, JsonValue>> | undefined;
  /** Of the first message of a stream. */
  readonly mode: Mode | undefined;
}

const attributesKey = 'envoy.filters.http.ext_proc';
const bodyModes: Readonly<Record<BodyMode, number>> = { none: 0, streamed: 1, buffered: 2, partial: 3 };

let requestType: protobuf.Type | undefined;
let responseType: protobuf.Type | undefined;

export function encodeRequest(direction: DirectionName, part: Part, around: Surroundings): Buffer {
  requestType ??= envoyMessage('envoy.service.ext_proc.v3.ProcessingRequest')!;
  const { metadata, attributes, mode } = around;
  const structs = metadata.map(([name, value]) => [name, structFromJson(value as Record<string, JsonValue>)]);
  const message = {
    [`${direction}_${part.kind}`]: partOf(part),
    metadata_context: { filter_metadata: Object.fromEntries(structs) },
    ...(attributes && { attributes: { [attributesKey]: structFromJson(attributes) } }),
    ...(mode && {
      protocol_config: {
        ...(mode.request.body !== 'none' && { request_body_mode: bodyModes[mode.request.body] }),
        ...(mode.response.body !== 'none' && { response_body_mode: bodyModes[mode.response.body] }),
      },
    }),
  };
  const bytes = requestType.encode(requestType.fromObject(message)).finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function partOf(part: Part): object {
  switch (part.kind) {
    case 'headers':
      return { headers: headerMap(part.headers), end_of_stream: part.ended };
    case 'body':
      return { body: part.body, end_of_stream: part.ended };
    case 'trailers':
      return { trailers: headerMap(part.trailers) };
  }
}

function headerMap(headers: Iterable<readonly [string, string]>): object {
  return { headers: [...headers].map(([key, value]) => ({ key, raw_value: Buffer.from(value, 'latin1') })) };
}

export interface CommonAnswer {
  readonly replaces: boolean;
  /** undefined: nothing was said, which is not the same as to change nothing. */
  readonly headers: HeaderMutation | undefined;
  readonly body: BodyMutation;
  readonly clearsRoute: boolean;
}

export interface Immediate {
  readonly status: number | undefined;
  readonly headers: HeaderMutation;
  readonly body: string;
  readonly grpcStatus: number | undefined;
  readonly details: string;
}

export type Told =
  | { readonly kind: 'headers' | 'body'; readonly direction: DirectionName; readonly answer: CommonAnswer }
  | { readonly kind: 'trailers'; readonly direction: DirectionName; readonly headers: HeaderMutation | undefined }
  | { readonly kind: 'immediate'; readonly immediate: Immediate }
  /** In ms. */
  | { readonly kind: 'timeout'; readonly millis: number }
  | { readonly kind: 'unknown' };

export interface Answer {
  readonly told: Told;
  readonly metadata: Struct | undefined;
  /** `unsupported`: a way to send bodies that is not known here. */
  readonly mode: Mode | 'unsupported' | undefined;
}

/** As protobufjs makes it: lists are always there. */
interface Message {
  readonly immediate_response?: {
    readonly status?: { readonly code?: number } | null;
    readonly headers?: RawMutation | null;
    readonly body?: Uint8Array;
    readonly grpc_status?: { readonly status?: number } | null;
    readonly details?: string;
  } | null;
  readonly dynamic_metadata?: object | null;
  readonly mode_override?: RawMode | null;
  readonly override_message_timeout?: { readonly seconds?: number; readonly nanos?: number } | null;
  readonly [part: string]: unknown;
}

interface RawMutation {
  readonly set_headers: readonly {
    readonly header?: { readonly key?: string; readonly raw_value?: Uint8Array } | null;
    readonly append?: { readonly value?: boolean } | null;
  }[];
  readonly remove_headers: readonly string[];
}

interface RawCommon {
  readonly status?: number;
  readonly header_mutation?: RawMutation | null;
  readonly body_mutation?: { readonly body?: Uint8Array; readonly clear_body?: boolean } | null;
  readonly clear_route_cache?: boolean;
}

type RawMode = Readonly<Record<`${DirectionName}_${'header' | 'body' | 'trailer'}_mode`, number | undefined>>;

/** undefined: it is no such message. */
export function decodeResponse(bytes: Buffer): Answer | undefined {
  responseType ??= envoyMessage('envoy.service.ext_proc.v3.ProcessingResponse')!;
  let message: Message;
  try {
    // What is not there is absent then, and not its default.
    message = responseType.toObject(responseType.decode(bytes), { arrays: true, longs: Number }) as Message;
  } catch {
    // Among it a struct that is deeper than the stack.
    return undefined;
  }
  const { dynamic_metadata: metadata, mode_override: mode } = message;
  return {
    told: toldBy(message),
    metadata: metadata ? structToJson(metadata as Parameters<typeof structToJson>[0]) : undefined,
    mode: mode ? modesOf(mode) : undefined,
  };
}

function toldBy(message: Message): Told {
  const { override_message_timeout: timeout, immediate_response: immediate } = message;
  if (timeout) return { kind: 'timeout', millis: (timeout.seconds ?? 0) * 1_000 + (timeout.nanos ?? 0) / 1_000_000 };
  if (immediate) {
    return {
      kind: 'immediate',
      immediate: {
        status: immediate.status?.code || undefined,
        headers: mutationOf(immediate.headers ?? { set_headers: [], remove_headers: [] }),
        body: Buffer.from(immediate.body ?? []).toString('utf8'),
        grpcStatus: immediate.grpc_status ? (immediate.grpc_status.status ?? 0) : undefined,
        details: immediate.details ?? '',
      },
    };
  }
  for (const direction of ['request', 'response'] as const) {
    for (const kind of ['headers', 'body'] as const) {
      const part = message[`${direction}_${kind}`] as { readonly response?: RawCommon | null } | null | undefined;
      if (part) return { kind, direction, answer: commonOf(part.response ?? {}) };
    }
    const trailers = message[`${direction}_trailers`] as { readonly header_mutation?: RawMutation | null } | undefined;
    if (trailers) {
      const { header_mutation: mutation } = trailers;
      return { kind: 'trailers', direction, headers: mutation ? mutationOf(mutation) : undefined };
    }
  }
  return { kind: 'unknown' };
}

function commonOf({ status, header_mutation, body_mutation: body, clear_route_cache }: RawCommon): CommonAnswer {
  return {
    replaces: status === 1,
    headers: header_mutation ? mutationOf(header_mutation) : undefined,
    body: bodyOf(body ?? {}),
    clearsRoute: clear_route_cache ?? false,
  };
}

function bodyOf({ body, clear_body: clears }: NonNullable<RawCommon['body_mutation']>): BodyMutation {
  if (body) return { kind: 'replace', body: Buffer.from(body) };
  return { kind: clears ? 'clear' : 'none' };
}

function mutationOf({ set_headers: set, remove_headers: remove }: RawMutation): HeaderMutation {
  return {
    remove,
    set: set.flatMap(({ header, append }): HeaderSetting[] => {
      if (!header) return [];
      const { key = '', raw_value: raw } = header;
      return [
        {
          name: key,
          // The field for text does not count, as in Envoy.
          value: Buffer.from(raw ?? []).toString('latin1'),
          // The older field alone counts, as in Envoy.
          appends: append?.value === true,
        },
      ];
    }),
  };
}

const bodyModeOf: readonly BodyMode[] = ['none', 'streamed', 'buffered', 'partial'];

function modesOf(mode: RawMode): Mode | 'unsupported' {
  const [request, response] = [modeOf(mode, 'request'), modeOf(mode, 'response')];
  return request && response ? { request, response } : 'unsupported';
}

function modeOf(mode: RawMode, direction: DirectionName): DirectionMode | undefined {
  const body = bodyModeOf[mode[`${direction}_body_mode`] ?? 0];
  return (
    body && {
      headers: mode[`${direction}_header_mode`] !== 2,
      body,
      trailers: mode[`${direction}_trailer_mode`] === 1,
    }
  );
}
