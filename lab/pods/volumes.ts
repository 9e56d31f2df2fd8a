/** Fills the folders of a pod's volumes, and keeps them current: tokens before they expire, ConfigMaps when they change. */
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { millis } from '../../common/core/brand.ts';
import { sleep } from '../../common/core/clock.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import type { LabNode, Runtime } from '../daemon/runtime.ts';
import { configMapData, podField, secretData } from '../manifest/env.ts';
import type { VolumePlan, VolumeSource } from '../manifest/volume.ts';
import { replaceFile } from '../tokens.ts';

export interface PodVolumes {
  readonly runtime: Runtime;
  readonly node: LabNode;
  readonly dir: string;
  readonly serviceAccount: string;
  /** As it is now. */
  pod(): Pod;
  readonly signal: AbortSignal;
}

/** The volume that Kubernetes adds for the ServiceAccount. Its ca.crt is of an API server, which a lab does not have. */
export const accountVolume: VolumePlan = {
  name: 'kube-api-access',
  sources: [
    { kind: 'token', path: 'token', audience: undefined, expirationSeconds: 3607 },
    { kind: 'downwardAPI', items: [{ path: 'namespace', fieldPath: 'metadata.namespace' }] },
    { kind: 'configMap', name: 'kube-root-ca.crt', optional: true, items: undefined },
  ],
};
export const accountPath = '/var/run/secrets/kubernetes.io/serviceaccount';

export function volumeFolder(v: Pick<PodVolumes, 'dir'>, name: string): string {
  return join(v.dir, 'volumes', name);
}

/** MeshError NOT_FOUND names the object that is missing. */
export async function fillVolume(v: PodVolumes, plan: VolumePlan): Promise<void> {
  const folder = volumeFolder(v, plan.name);
  await mkdir(folder, { recursive: true });
  // An emptyDir is everybody's, whatever user a container has.
  if (plan.sources.some((s) => s.kind === 'emptyDir')) await chmod(folder, 0o777);
  for (const source of plan.sources) {
    for (const [path, content] of await contents(v, source)) await writeChanged(join(folder, path), content);
  }
}

/** Until the signal aborts. Failures are logged; the old files stay. */
export async function renewTokens(v: PodVolumes, plan: VolumePlan): Promise<void> {
  const lives = plan.sources.flatMap((s) => (s.kind === 'token' ? [s.expirationSeconds] : []));
  if (lives.length === 0) return;
  // kubelet renews when 80 % of the life is over.
  const interval = millis(Math.min(...lives) * 800);
  for (;;) {
    await sleep(v.runtime.clock, interval, v.signal);
    if (v.signal.aborted) return;
    await refill(v, plan);
  }
}

export async function refill(v: PodVolumes, plan: VolumePlan): Promise<void> {
  try {
    await fillVolume(v, plan);
  } catch (e) {
    const { name, namespace } = v.pod().metadata;
    v.runtime.log.warn('a volume cannot be renewed', {
      pod: `${namespace}/${name}`,
      volume: plan.name,
      error: describeError(e),
    });
  }
}

async function contents(v: PodVolumes, source: VolumeSource): Promise<Iterable<[string, Uint8Array]>> {
  switch (source.kind) {
    case 'emptyDir':
      return [];
    case 'configMap':
    case 'secret':
      return objectFiles(v, source);
    case 'token':
      return [[source.path, Buffer.from(await token(v, source.expirationSeconds, source.audience))]];
    case 'downwardAPI':
      return source.items.map((i): [string, Uint8Array] => [i.path, Buffer.from(podField(v.pod(), i.fieldPath) ?? '')]);
  }
}

function objectFiles(
  v: PodVolumes,
  source: Extract<VolumeSource, { kind: 'configMap' | 'secret' }>,
): [string, Uint8Array][] {
  const key = { namespace: v.pod().metadata.namespace ?? 'default', name: source.name };
  const { cluster } = v.runtime;
  const data =
    source.kind === 'configMap' ? configMapData(cluster.configMaps.get(key)) : secretData(cluster.secrets.get(key));
  if (data === undefined) {
    if (source.optional) return [];
    throw new MeshError('NOT_FOUND', `${source.kind} "${source.name}" does not exist in namespace "${key.namespace}"`);
  }
  if (source.items === undefined) return [...data];
  return source.items.flatMap((item): [string, Uint8Array][] => {
    const content = data.get(item.key);
    if (content !== undefined) return [[item.path, content]];
    if (source.optional) return [];
    throw new MeshError('NOT_FOUND', `${source.kind} "${source.name}" has no key "${item.key}"`);
  });
}

export async function token(
  v: Pick<PodVolumes, 'runtime' | 'node' | 'serviceAccount' | 'pod'>,
  seconds: number,
  audience: string | undefined,
): Promise<string> {
  const { metadata } = v.pod();
  const namespace = metadata.namespace ?? 'default';
  const account = v.runtime.cluster.serviceAccounts.get({ namespace, name: v.serviceAccount });
  if (account === undefined) {
    throw new MeshError('NOT_FOUND', `serviceAccount "${v.serviceAccount}" does not exist in namespace "${namespace}"`);
  }
  const subject = {
    namespace,
    serviceAccount: { name: v.serviceAccount, uid: account.metadata.uid },
    pod: { name: metadata.name, uid: metadata.uid },
    node: { name: v.node.name, uid: v.node.uid },
  };
  return v.runtime.issuer.issue(subject, seconds, audience, v.runtime.clock.wall());
}

async function writeChanged(path: string, content: Uint8Array): Promise<void> {
  const now = await readFile(path).catch(() => undefined);
  if (now?.equals(content)) return;
  await mkdir(dirname(path), { recursive: true });
  await replaceFile(path, content);
}
