/** Pods and the templates of pods: defaults that depend on other fields, and how they are deleted. */
import { isObject } from '../../../common/kube/schema/validate.ts';
import type { ApiObject } from '../objects.ts';
import { at, listAt, textAt } from './columns.ts';

/** The pull policy follows the image's tag, requests follow limits. Both names of the service account say the same. */
export function fillPodSpec(spec: unknown): void {
  if (!isObject(spec)) return;
  for (const list of ['initContainers', 'containers', 'ephemeralContainers']) {
    for (const container of listAt(spec, list)) if (isObject(container)) fillContainer(container, spec);
  }
  const account = spec['serviceAccountName'] ?? spec['serviceAccount'];
  if (account === undefined || account === '') return;
  spec['serviceAccountName'] = account;
  spec['serviceAccount'] = account;
}

function fillContainer(container: Record<string, unknown>, spec: Readonly<Record<string, unknown>>): void {
  container['imagePullPolicy'] ??= isLatest(textAt(container, 'image')) ? 'Always' : 'IfNotPresent';
  const { resources } = container;
  // Who limits and does not ask, asks for the limit.
  if (isObject(resources) && isObject(resources['limits']))
    resources['requests'] = { ...resources['limits'], ...(resources['requests'] as object | undefined) };
  if (spec['hostNetwork'] !== true) return;
  for (const port of listAt(container, 'ports')) if (isObject(port)) port['hostPort'] ??= port['containerPort'];
}

function isLatest(image: string): boolean {
  if (image.includes('@')) return false;
  const tag = /:([^/:]+)$/.exec(image)?.[1];
  return tag === undefined || tag === 'latest';
}

/** What nobody runs is gone at once. */
export function podGracePeriod(pod: ApiObject, asked: number | undefined): number {
  const phase = textAt(pod, 'status', 'phase');
  if (textAt(pod, 'spec', 'nodeName') === '' || phase === 'Succeeded' || phase === 'Failed') return 0;
  const own = at(pod, 'spec', 'terminationGracePeriodSeconds');
  return asked ?? pod.metadata.deletionGracePeriodSeconds ?? (typeof own === 'number' ? own : 30);
}
