/** How a ztunnel names itself to istiod (ambient-wire 3.7). */
import { type Encodable, type JsonValue, type PbNode, structFromJson } from '../api/index.ts';
import { version } from '../core/version.ts';

export interface NodeFacts {
  readonly podName: string;
  readonly podNamespace: string;
  /** `1.1.1.1` where it is not known. */
  readonly instanceIp: string;
  readonly nodeName: string | undefined;
  /** `ISTIO_META_<X>` as `<X>`. */
  readonly metadata: Readonly<Record<string, JsonValue>>;
}

export function ztunnelNode(f: NodeFacts): Encodable<PbNode> {
  return {
    id: `ztunnel~${f.instanceIp}~${f.podName}.${f.podNamespace}~${f.podNamespace}.svc.cluster.local`,
    metadata: structFromJson({
      ISTIO_VERSION: version,
      ...f.metadata,
      NAME: f.podName,
      NAMESPACE: f.podNamespace,
      INSTANCE_IPS: f.instanceIp,
      ...(f.nodeName !== undefined && { NODE_NAME: f.nodeName }),
    }),
  };
}
