/** Which services a client sees: `egress` of the Sidecar that counts for it. Waypoints have none, as in Istio. */
import type { MeshService, MeshView } from '../inputs.ts';
import type { ClientProxy } from '../proxy.ts';

/** Without egress everything is seen. What routes of a service that is seen lead to is not asked about. */
export function isSeen(view: MeshView, proxy: ClientProxy, service: MeshService, port: number): boolean {
  const { egress = [] } = view.sidecar(proxy.namespace, proxy.labels)?.spec ?? {};
  if (egress.length === 0) return true;
  return egress
    .filter((e) => (e.port?.number ?? 0) === 0 || e.port?.number === port)
    .some((e) => e.hosts.some((host) => covers(host, service, proxy.namespace)));
}

/** `namespace/name`: `.` is the client's own, `*` any, `~` none. */
function covers(host: string, { namespace, hostname }: MeshService, own: string): boolean {
  const slash = host.indexOf('/');
  const [where, name] = [host.slice(0, slash), host.slice(slash + 1).toLowerCase()];
  if (where === '~' || (where !== '*' && namespace !== (where === '.' ? own : where))) return false;
  return name === '*' || name === hostname || (name.startsWith('*.') && hostname.endsWith(name.slice(1)));
}
