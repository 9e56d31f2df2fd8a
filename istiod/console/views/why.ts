/** `aquifer why` for two things of the graph: by the functions that enforce, in proxies and at waypoints. Pure. */
import { addressTypeUrl } from '../../../common/api/index.ts';
import type { Compat } from '../../../common/core/compat.ts';
import type { SocketAddr } from '../../../common/core/net.ts';
import { serviceKey } from '../../../common/mesh/store.ts';
import { decideWhy, type Verdict } from '../../../common/why/decide.ts';
import type { EnvoyMesh } from '../../model/envoy/mesh-view.ts';
import type { ObjectRef } from '../../model/resource.ts';
import { askWaypoint, type RequestQuestion } from '../../why/waypoint.ts';
import type { Place } from '../access.ts';
import type { MeshMirror } from '../mirror.ts';
import { workloadId } from './graph.ts';

export interface WhyQuestion {
  /** Id of a workload. */
  readonly from: string;
  /** Id of a workload or a service. */
  readonly to: string;
  readonly port: number;
  /** What a waypoint on the way is asked about; without a host that of the service. */
  readonly request: Omit<RequestQuestion, 'host'> & { readonly host: string | undefined };
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
  readonly envoy: EnvoyMesh;
  readonly compat: Compat;
  /** Whose policies apply everywhere. */
  readonly rootNamespace: string;
}

/** Before the reader was asked about. */
export interface Judged {
  readonly view: WhyView;
  readonly ends: readonly Place[];
  /** What the view may name besides. */
  readonly named: readonly Place[];
}

/** undefined: the mesh knows one of them not, or it has no address. */
export function judge(
  { mirror, envoy, compat, rootNamespace }: WhyMesh,
  { from, to, port, request }: WhyQuestion,
): Judged | undefined {
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
  const looked: ObjectRef[] = [];
  const verdict = decideWhy(store, {
    source,
    target: { ip, port } as SocketAddr,
    compat,
    atWaypoint(at) {
      const host = request.host ?? service?.hostname ?? ip;
      const { verdict: judged, objects } = askWaypoint(envoy, at, { ...request, host });
      looked.push(...objects);
      return judged;
    },
  });
  const last = verdict.destination.workload;
  const { namespace } = (last ?? behind ?? destination ?? service)!;
  const policies = [namespace, rootNamespace].flatMap((n) =>
    ['AuthorizationPolicy', 'PeerAuthentication'].map((kind) => ({ kind, namespace: n })),
  );
  // What stands for no object cannot be shown to anybody.
  const place = (name: string): Place => mirror.objectOf(addressTypeUrl, name) ?? { kind: 'unknown' };
  const pods = [last, behind].flatMap((w) => (w === undefined ? [] : [place(w.uid)]));
  return { view: viewOf(verdict), ends: [place(source.uid), place(about)], named: [...pods, ...policies, ...looked] };
}

function viewOf({ allowed, by, source, destination, open }: Verdict): WhyView {
  return {
    allowed,
    by,
    source: source.lines,
    destination: destination.lines,
    policies: destination.policies,
    open,
  };
}

export function whyOf({ view, ends, named }: Judged, readable: (place: Place) => boolean): WhyAnswer {
  if (!ends.every(readable)) return { kind: 'unknown' };
  const hidden = named.filter((p) => !readable(p)).map((p) => `${p.kind} in ${p.namespace}`);
  if (hidden.length === 0) return { kind: 'ok', view };
  const names = [...new Set(hidden)].join(', ');
  return { kind: 'forbidden', message: `the answer would name objects that your token may not list: ${names}` };
}
