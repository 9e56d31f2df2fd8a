/**
 * envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder: HTTP and JSON to gRPC and back, by the descriptors of a
 * service and its google.api.http rules. What is no request for it passes as it is.
 */
import { isGrpcRequest } from '../../request/grpc.ts';
import type { RequestView } from '../../request/view.ts';
import { type FilterKind, goOn, type HttpFilter, type LocalReply, mostSpecific } from '../filter.ts';
import { type Config, readConfig } from './config.ts';
import type { Method } from './methods.ts';
import { FromJson } from './request.ts';
import { resolve } from './resolve.ts';
import { ToJson } from './response.ts';

const type = 'type.googleapis.com/envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder';

export const grpcJsonFilter: FilterKind = {
  type,
  read(fields) {
    const own = readConfig(fields);
    const filter: HttpFilter = {
      onRequest(view, context) {
        const config = mostSpecific<Config>(context) ?? own;
        if (!config.ways || view.path === '' || isGrpcRequest(view.headers)) return goOn;
        const resolved = resolve(config, view);
        if (resolved.kind === 'no-method')
          return config.rejects.unknownMethods
            ? refusal(404, `Could not resolve ${resolved.path} to a method.`, 'NOT_FOUND')
            : goOn;
        if (resolved.kind === 'no-field')
          return config.rejects.unknownParameters
            ? refusal(400, `Could not find field "${resolved.name}" in the request message.`, 'INVALID_ARGUMENT')
            : goOn;
        const { way, bindings } = resolved;
        rewrite(view, way.method);
        if (!config.keepsRoute) context.clearRoute();
        return {
          kind: 'stream',
          open: (request, response) => ({
            request: new FromJson(request, config, way, bindings),
            response: new ToJson(response, config, way),
          }),
        };
      },
    };
    return filter;
  },
  perRoute: { type, read: readConfig },
};

function rewrite(view: RequestView, method: Method): void {
  const { headers } = view;
  headers.remove('content-length');
  headers.set('content-type', 'application/grpc');
  headers.set('x-envoy-original-path', view.path);
  headers.set('x-envoy-original-method', view.method);
  headers.set('te', 'trailers');
  view.path = method.path;
  view.method = 'POST';
}

function refusal(status: number, body: string, code: string): LocalReply {
  const details = `early_grpc_json_transcode_failure{${code}}`;
  return { kind: 'reply', status, headers: [], body, details };
}
