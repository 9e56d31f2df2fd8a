/** The lab that everything is measured in, and its pairs of pods: a client on node-1, or beside its servers on node-2. */
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Lab, type LabApi, type LabOptions, type PodRef } from '../lab/index.ts';
import type { Target } from './load.ts';

/** Not the default name, so that a lab that someone plays with stays alone. */
const labName = 'bench';

/** Namespaces of the pairs: `mesh` is enrolled, the others are not. */
export const namespaces = { direct: 'direct', relay: 'relay', mesh: 'mesh', peer: 'peer' } as const;
/** Of pairs on one node: outside of the mesh, by its proxy, and past it. */
export const nearNamespaces = { direct: 'near-direct', mesh: 'near-mesh', past: 'near-past' } as const;

export interface Pair {
  readonly client: PodRef;
  readonly server: PodRef;
  readonly clientIp: string;
  /** The server's own IPv4 address and ports. */
  readonly target: Target;
}

export async function withLab<T>(options: LabOptions, work: (lab: LabApi) => Promise<T>): Promise<T> {
  const lab = await Lab.up({ name: labName, nodes: 2, ...options });
  try {
    return await work(lab);
  } finally {
    await lab.down();
  }
}

/** Text of bench/manifests/NAME.yaml with its capital words filled in. */
export async function manifest(name: string, values: Readonly<Record<string, string>>): Promise<string> {
  const text = await readFile(join(import.meta.dirname, 'manifests', `${name}.yaml`), 'utf8');
  return text.replace(/\b(NAMESPACE|MODE|CLIENT|CLIENT_NODE|SAME_NODE|IMAGE|GRPC)\b/g, (word) => values[word] ?? word);
}

/** Image of clients with the load programs. */
export const loadImage = 'debian:12';

export async function makePair(
  lab: LabApi,
  namespace: string,
  mode: 'ambient' | 'none',
  client: string = loadImage,
): Promise<void> {
  const place = { CLIENT_NODE: 'node-1', SAME_NODE: 'none' };
  await lab.apply(await manifest('pair', { ...place, NAMESPACE: namespace, MODE: mode, CLIENT: client }));
}

/** Both on node-2; `direct`: their owner lets them connect past the proxy. */
export async function makeNearPair(
  lab: LabApi,
  namespace: string,
  mode: 'ambient' | 'none',
  sameNode: 'direct' | 'none',
): Promise<void> {
  const place = { CLIENT_NODE: 'node-2', SAME_NODE: sameNode };
  await lab.apply(await manifest('pair', { ...place, NAMESPACE: namespace, MODE: mode, CLIENT: loadImage }));
}

/** Puts a program of this machine into the pod's own file system; returns its path there. */
export async function copyProgram(lab: LabApi, pod: PodRef, program: string): Promise<string> {
  const target = `/tmp/${basename(program)}`;
  const copy = 'cat > "$0.new" && chmod 755 "$0.new" && mv "$0.new" "$0"';
  const { code, stderr } = await lab.exec(pod, ['sh', '-c', copy, target], { stdin: await readFile(program) });
  if (code !== 0) throw new Error(`${program} cannot be copied into a pod: ${stderr.trim()}`);
  return target;
}

export async function findPair(lab: LabApi, namespace: string): Promise<Pair> {
  const [client, clientIp] = await find(lab, `${namespace}/client`);
  const [server, ip] = await find(lab, `${namespace}/server`);
  return { client, server, clientIp, target: { ip, iperfPort: 5_201, httpPort: 8_080 } };
}

async function find(lab: LabApi, deployment: string): Promise<readonly [PodRef, string]> {
  const [pod] = await lab.podsOf(deployment);
  const ip = pod?.status?.podIPs?.map((p) => p.ip).find((text) => !text.includes(':'));
  if (pod === undefined || ip === undefined)
    throw new Error(`Deployment ${deployment} has no pod with an IPv4 address`);
  return [{ namespace: pod.metadata.namespace ?? 'default', name: pod.metadata.name }, ip];
}
