/** The lab that the demo plays in: two nodes, the manifests of demo/manifests, and the addresses to call. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { MeshError } from '../common/core/errors.ts';
import { type Ip, isIpv6, parseIp } from '../common/core/net.ts';
import { namespaceKind, serviceKind } from '../common/kube/kinds/core.ts';
import { cleanUp } from '../lab/cleanup.ts';
import { Lab, type LabApi, type PodRef } from '../lab/index.ts';

/** Also the default of `aquifer lab`, so that its commands need no name. */
export const labName = 'demo';
export const namespace = 'shop';

/** One server: how it is reached by its Service, and directly. */
export interface Server {
  readonly name: 'web' | 'catalog' | 'cache' | 'meter';
  readonly vips: readonly Ip[];
  readonly servicePort: number;
  readonly podIps: readonly Ip[];
  readonly podPort: number;
}

export interface Stage {
  readonly lab: LabApi;
  /** On node-1, service account `client`. */
  readonly client: PodRef;
  /** On node-2, where the servers are, service account `client`. */
  readonly neighbour: PodRef;
  /** On node-1, service account `stranger`. */
  readonly stranger: PodRef;
  /** nginx behind the policy. */
  readonly web: Server;
  /** nginx behind no policy. */
  readonly catalog: Server;
  readonly cache: Server;
  readonly meter: Server;
}

export async function setStage(progress: (line: string) => void): Promise<Stage> {
  const folder = join(import.meta.dirname, 'manifests');
  const manifests = readdirSync(folder)
    .sort()
    .map((file) => join(folder, file));
  const lab = await Lab.up({ name: labName, nodes: 2, manifests, progress });
  await lab.waitReady();
  await lab.waitEnrolled();
  return {
    lab,
    client: await onlyPod(lab, 'client'),
    neighbour: await onlyPod(lab, 'neighbour'),
    stranger: await onlyPod(lab, 'stranger'),
    web: await server(lab, 'web', 8080),
    catalog: await server(lab, 'catalog', 8080),
    cache: await server(lab, 'cache', 6379),
    meter: await server(lab, 'meter', 5201),
  };
}

/** Takes down the demo's lab; also what is left of one whose daemon was killed. */
export async function clearStage(): Promise<void> {
  try {
    await (await Lab.attach(labName)).down();
  } catch (e) {
    if (!(e instanceof MeshError && e.code === 'NOT_FOUND')) throw e;
  }
  await cleanUp(labName);
}

/** What `kubectl label namespace` does. */
export async function setMesh(lab: LabApi, mode: 'ambient' | null): Promise<void> {
  await lab.kube.patch(
    namespaceKind,
    { name: namespace },
    { metadata: { labels: { 'istio.io/dataplane-mode': mode } } },
  );
}

async function onlyPod(lab: LabApi, deployment: string): Promise<PodRef> {
  return { namespace, name: (await podOf(lab, deployment)).metadata.name };
}

async function server(lab: LabApi, name: Server['name'], podPort: number): Promise<Server> {
  const service = await lab.kube.get(serviceKind, { namespace, name });
  const pod = await podOf(lab, name);
  return {
    name,
    vips: bothFamilies(`Service ${name}`, service?.spec.clusterIPs ?? []),
    servicePort: service?.spec.ports?.[0]?.port ?? 0,
    podIps: bothFamilies(`pod of ${name}`, pod.status?.podIPs?.map((p) => p.ip) ?? []),
    podPort,
  };
}

async function podOf(lab: LabApi, deployment: string) {
  const [pod] = await lab.podsOf(`${namespace}/${deployment}`);
  if (pod === undefined) throw new Error(`Deployment ${namespace}/${deployment} has no pod`);
  return pod;
}

function bothFamilies(what: string, texts: readonly string[]): readonly Ip[] {
  const ips = texts.map((t) => parseIp(t)).filter((ip) => ip !== undefined);
  if (!ips.some(isIpv6) || ips.every(isIpv6)) {
    throw new Error(`${what} has not one address of each family: ${texts.join(', ') || 'none'}`);
  }
  return ips;
}
