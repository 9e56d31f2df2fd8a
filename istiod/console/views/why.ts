/** `aquifer why` for two things of the graph: by the functions that enforce. Pure. */
import { addressTypeUrl } from '../../../common/api/index.ts';
import type { Compat } from '../../../common/core/compat.ts';
import type { SocketAddr } from '../../../common/core/net.ts';
import { serviceKey } from '../../../common/mesh/store.ts';
import type { Workload } from '../../../common/mesh/types.ts';
import { decideWhy, type Side } from '../../../common/why/decide.ts';
import type { Place } from '../access.ts';
import type { MeshMirror } from '../mirror.ts';
import { workloadId } from './graph.ts';

export interface WhyQuestion {
  /** Id of a workload. */
  readonly from: string;
  /** Id of a workload or a service. */
  readonly to: string;
  readonly port: number;
}

export interface WhyView {
  readonly allowed: boolean;
  readonly by: string;
  readonly source: readonly string[];
  readonly destination: readonly string[];
  readonly policies: readonly string[];
  readonly open: readonly string[];
}

export type WhyAnswer =
  | { readonly kind: 'ok'; readonly view: WhyView }
  /** Or the reader may not know of it. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'forbidden'; readonly message: string };

export interface WhyMesh {
  readonly mirror: MeshMirror;
  readonly compat: Compat;
  /** Whose policies apply everywhere. */
  readonly rootNamespace: string;
}

export interface Located {
  readonly source: Workload;
  readonly target: SocketAddr;
  readonly ends: readonly Place[];
  /** What an answer may name besides. */
  readonly named: readonly Place[];
}

/** undefined: the mesh knows one of them not, or it has no address. */
export function locate({ mirror, rootNamespace }: WhyMesh, { from, to, port }: WhyQuestion): Located | undefined {
  const { store } = mirror;
  const of = (id: string) => store.workloads().find((w) => workloadId(w) === id && w.addresses.length > 0);
  const source = of(from);
  const service = store.service(to);
  const destination = service === undefined ? of(to) : undefined;
  const vip = service?.addresses.find((a) => a.network === (source?.network ?? '') && a.length === undefined)?.ip;
  const behind = service && store.endpoints(service)[0]?.workload;
  const ip = vip ?? (destination ?? behind)?.addresses[0];
  const about = service === undefined ? destination?.uid : serviceKey(service);
  if (source === undefined || ip === undefined || about === undefined) return undefined;
  const { namespace } = (behind ?? destination ?? service)!;
  const policies = [namespace, rootNamespace].flatMap((n) =>
    ['AuthorizationPolicy', 'PeerAuthentication'].map((kind) => ({ kind, namespace: n })),
  );
  // What stands for no object cannot be shown to anybody.
  const place = (name: string): Place => mirror.objectOf(addressTypeUrl, name) ?? { kind: 'unknown' };
  const pods = behind === undefined ? [] : [place(behind.uid)];
  return {
    source,
    target: { ip, port } as SocketAddr,
    ends: [place(source.uid), place(about)],
    named: [...pods, ...policies],
  };
}

export function whyOf(
  mesh: WhyMesh,
  { source, target, ends, named }: Located,
  readable: (place: Place) => boolean,
): WhyAnswer {
  if (!ends.every(readable)) return { kind: 'unknown' };
  const hidden = named.filter((p) => !readable(p)).map((p) => `${p.kind} in ${p.namespace}`);
  if (hidden.length > 0) {
    const names = [...new Set(hidden)].join(', ');
    return { kind: 'forbidden', message: `the answer would name objects that your token may not list: ${names}` };
  }
  const verdict = decideWhy(mesh.mirror.store, { source, target, compat: mesh.compat });
  const lines = (side: Side) => side.lines;
  return {
    kind: 'ok',
    view: {
      allowed: verdict.allowed,
      by: verdict.by,
      source: lines(verdict.source),
      destination: lines(verdict.destination),
      policies: verdict.destination.policies,
      open: verdict.open,
    },
  };
}
