/** HttpConnectionManager.tracing. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import { type CustomTag, readCustomTags } from './custom-tags.ts';
import type { Sampling } from './sampling.ts';
import type { ProxyNode } from './standard-tags.ts';
import { readTracer, type Tracer } from './tracer.ts';

export interface TracingConfig {
  readonly sampling: Sampling;
  /** undefined: ids of requests are marked, and nothing is told. */
  readonly tracer: Tracer | undefined;
  readonly tags: readonly CustomTag[];
  readonly longestPath: number;
  /** Whether headers go along. */
  readonly propagates: boolean;
  /** Of the listener: requests leave the mesh's workload, or arrive. */
  readonly operation: 'ingress' | 'egress';
  readonly node: ProxyNode;
}

const uuids = 'type.googleapis.com/envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig';

export interface RequestIdOptions {
  readonly byRequestId: boolean;
  readonly packs: boolean;
}

/** HttpConnectionManager.request_id_extension. */
export function readRequestIds(manager: Fields): RequestIdOptions {
  const config = manager.message('request_id_extension')?.message('typed_config');
  if (config && config.type !== uuids) manager.mistake('request_id_extension', `${config.type} is not supported`);
  return {
    byRequestId: config?.wrappedFlag('use_request_id_for_trace_sampling') ?? true,
    packs: config?.wrappedFlag('pack_trace_reason') ?? true,
  };
}

export function readTracing(
  fields: Fields,
  ids: RequestIdOptions,
  operation: TracingConfig['operation'],
  env: ExportEnvironment,
): TracingConfig {
  if (fields.wrappedFlag('spawn_upstream_span')) fields.mistake('spawn_upstream_span', 'one span is told of a request');
  if (fields.flag('verbose')) fields.mistake('verbose', 'spans have no annotations');
  return {
    sampling: {
      ...ids,
      client: fields.percent('client_sampling') ?? 100,
      random: fields.percent('random_sampling') ?? 100,
      overall: fields.percent('overall_sampling') ?? 100,
    },
    tracer: fields.read('provider', (provider) => readTracer(provider, env)),
    tags: readCustomTags(fields, 'custom_tags', env.variable),
    longestPath: fields.wrapped('max_path_tag_length') ?? 256,
    propagates: !fields.flag('no_context_propagation'),
    operation,
    node: env.node,
  };
}
