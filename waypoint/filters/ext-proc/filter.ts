/** envoy.extensions.filters.http.ext_proc.v3: a service of the user's sees and changes requests and responses, by one stream of gRPC each. */
import { type FilterKind, goOn, type HttpFilter } from '../filter.ts';
import { processingOf, type RouteSays, readConfig, readRouteSays } from './config.ts';
import { openExchange } from './exchange.ts';

export const extProcFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
  read(fields, env) {
    const config = readConfig(fields);
    const filter: HttpFilter = {
      onRequest(view, context) {
        const levels = context.perRoute.flatMap((level) =>
          level.kind === 'config' ? [level.config as RouteSays] : [],
        );
        if (levels[0]?.kind === 'disabled') return goOn;
        const processing = processingOf(config, levels);
        return {
          kind: 'stream',
          open: (request, response) => openExchange({ config, processing, env, view, context }, request, response),
        };
      },
    };
    return filter;
  },
  perRoute: {
    type: 'type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute',
    read: readRouteSays,
  },
};
