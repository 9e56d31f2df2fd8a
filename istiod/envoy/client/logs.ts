/** The access logs of a plain Envoy, as Telemetry and MeshConfig ask for them. */
import type { MeshView } from '../inputs.ts';
import { outboundCluster } from '../names.ts';
import type { ClientProxy } from '../proxy.ts';
import { accessLogs } from '../telemetry/logging.ts';
import type { Message } from '../values.ts';

export interface ClientLogs {
  readonly logs: readonly Message[];
  /** Names of clusters of collectors. */
  readonly clusters: ReadonlySet<string>;
}

export function clientLogs(view: MeshView, proxy: ClientProxy): ClientLogs {
  const clusters = new Set<string>();
  const cluster = (target: { readonly service: { readonly hostname: string }; readonly port: number }) => {
    const name = outboundCluster(target.service.hostname, target.port);
    clusters.add(name);
    return name;
  };
  return { logs: accessLogs(view, proxy, { service: undefined, cluster }), clusters };
}
