/** The tags that Envoy gives each span of a request, by its names for them. */
import type { FormatContext } from '../format/format.ts';
import { isGrpcRequest } from '../request/grpc.ts';
import type { SpanTag } from './span.ts';

export interface ProxyNode {
  readonly id: string;
  readonly cluster: string;
  readonly zone: string;
}

export interface StandardTags {
  readonly tags: readonly SpanTag[];
  /** What OpenTelemetry calls an error: the tag `error` is given to RESOURCE_EXHAUSTED (8) of gRPC, too. */
  readonly isError: boolean;
}

/**
 * Statuses of gRPC with which Envoy gives the tag: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED,
 * INTERNAL, UNAVAILABLE, DATA_LOSS.
 */
const grpcErrors: ReadonlySet<string> = new Set(['2', '4', '8', '12', '13', '14', '15']);

/** `longestPath`: characters of the URL's path that are told. */
export function standardTags(context: FormatContext, node: ProxyNode, longestPath: number): StandardTags {
  const { request, response, trailers, facts } = context;
  const { headers } = request;
  const tags: SpanTag[] = [];
  const tag = (name: string, value: string | undefined) => {
    if (value !== undefined) tags.push({ name, value });
  };
  tag('node_id', node.id);
  tag('zone', node.zone);
  tag('guid:x-request-id', headers.first('x-request-id'));
  const path = headers.first('x-envoy-original-path') ?? request.path;
  tag('http.url', `${request.scheme}://${request.authority}${path.slice(0, longestPath)}`);
  tag('http.method', request.method);
  tag('downstream_cluster', headers.first('x-envoy-downstream-service-cluster') || '-');
  tag('user_agent', headers.first('user-agent') || '-');
  tag('http.protocol', request.protocol === 'http2' ? 'HTTP/2' : 'HTTP/1.1');
  tag('peer.address', request.connection.directRemote.address);
  tag('guid:x-client-trace-id', headers.first('x-client-trace-id'));
  tag('request_size', String(facts.bytesReceived ?? 0));
  tag('response_size', String(facts.bytesSent ?? 0));
  tag('component', 'proxy');
  tag('upstream_cluster', facts.cluster?.name);
  tag('upstream_cluster.name', facts.cluster?.statName);
  const status = response?.status ?? 0;
  tag('http.status_code', String(status));
  tag('response_flags', facts.responseFlags ?? '-');
  let isError = status === 0 || status >= 500;
  let isTagged = isError;
  if (isGrpcRequest(headers)) {
    tag('grpc.path', request.path);
    tag('grpc.authority', request.authority);
    tag('grpc.content_type', headers.first('content-type'));
    tag('grpc.timeout', headers.first('grpc-timeout'));
    const code = trailers?.first('grpc-status') ?? response?.headers.first('grpc-status');
    tag('grpc.status_code', code);
    tag('grpc.message', trailers?.first('grpc-message') ?? response?.headers.first('grpc-message'));
    isTagged ||= code !== undefined && grpcErrors.has(code);
    isError ||= isTagged && code !== '8';
  }
  if (isTagged) tag('error', 'true');
  return { tags, isError };
}
