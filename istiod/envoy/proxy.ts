/** Who gets Envoy's configuration: proxies of which all of this is equal get the same, made once. */
import type { Locality } from '../../common/mesh/types.ts';

interface Common {
  /** Of the proxy itself. */
  readonly namespace: string;
  /** Service account of the token that it has shown; undefined: none, as on ports that ask for no token. */
  readonly account: string | undefined;
  readonly locality: Locality;
  readonly node: string;
  readonly network: string;
  /** Has addresses of these families. */
  readonly families: 'ipv4' | 'ipv6' | 'both';
  /** A stock Envoy, one that was built with Istio's own extensions, or our waypoint: as its metadata declare. */
  readonly engine: 'envoy' | 'istio' | 'aquifer';
}

export interface WaypointProxy extends Common {
  readonly kind: 'waypoint';
  /** `namespace/name` of its Gateway. */
  readonly gateway: string;
}

/** A plain Envoy, or gRPC without a proxy, which asks for what it needs by name. */
export interface ClientProxy extends Common {
  readonly kind: 'client';
  /** How connections get to an Envoy: led there by the kernel (REDIRECT unless it says otherwise), or made to it. */
  readonly interception: 'REDIRECT' | 'TPROXY' | 'NONE';
  readonly labels: Readonly<Record<string, string>>;
  /** gRPC understands fewer messages than Envoy. */
  readonly isGrpc: boolean;
}

export type EnvoyProxy = WaypointProxy | ClientProxy;
