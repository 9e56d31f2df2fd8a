/** What the server itself decides about an object's metadata, when it is made, changed and deleted. Pure. */

import { randomInt } from 'node:crypto';
import { isSameJson } from '../../../common/core/same-json.ts';
import { timestamp } from '../../../common/kube/timestamp.ts';
import type { ApiMeta, ApiObject } from '../objects.ts';
import type { Resource } from '../resources/resource.ts';
import type { DeleteOptions } from './options.ts';

/** Kubernetes' alphabet for names: no vowels, which could spell something. */
const letters = 'bcdfghjklmnpqrstvwxz2456789';
const longestBase = 58;

export function generateName(base: string): string {
  const suffix = Array.from({ length: 5 }, () => letters[randomInt(letters.length)]).join('');
  return `${base.slice(0, longestBase)}${suffix}`;
}

export function beforeCreate(resource: Resource, object: ApiObject, now: number, uid: string): void {
  const { metadata } = object;
  if ((metadata.name ?? '') === '' && (metadata.generateName ?? '') !== '')
    metadata.name = generateName(metadata.generateName!);
  metadata.uid = uid;
  metadata.creationTimestamp = timestamp(now);
  for (const field of [
    'resourceVersion',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'selfLink',
    'generation',
  ] as const) {
    delete metadata[field];
  }
  if (resource.hasStatus) delete object['status'];
  if (resource.hasGeneration) metadata.generation = 1;
  resource.strategy.prepareCreate?.(object);
}

const kept = [
  'uid',
  'creationTimestamp',
  'generateName',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'generation',
  'resourceVersion',
] as const;

/** `object` is what the client wants; whatever it cannot decide is taken from `old`. */
export function beforeUpdate(resource: Resource, object: ApiObject, old: ApiObject, subresource: string): void {
  keep(object.metadata, old.metadata, kept);
  delete object.metadata.selfLink;
  // A subresource of a kind's own (a binding) is the server's to write, with what it says in the status.
  if (resource.hasStatus && subresource === '') copyField(object, old, 'status');
  resource.strategy.prepareUpdate?.(object, old, subresource);
  if (resource.hasGeneration && !isSameJson(contentOf(resource, object), contentOf(resource, old))) {
    object.metadata.generation = (old.metadata.generation ?? 0) + 1;
  }
}

/** A write to the status subresource: everything else stays. Controllers of built-in kinds may set labels and annotations with it. */
export function beforeStatusUpdate(resource: Resource, object: ApiObject, old: ApiObject): void {
  const { managedFields, labels, annotations } = object.metadata;
  const status = object['status'];
  for (const field of Object.keys(object)) if (!(field in old) && field !== 'status') delete object[field];
  for (const field of Object.keys(old)) copyField(object, old, field);
  object.metadata = { ...old.metadata };
  setOrDelete(object.metadata, 'managedFields', managedFields);
  if (resource.builtIn) {
    setOrDelete(object.metadata, 'labels', labels);
    setOrDelete(object.metadata, 'annotations', annotations);
  }
  if (status === undefined) delete object['status'];
  else object['status'] = status;
}

function setOrDelete<K extends keyof ApiMeta>(metadata: ApiMeta, field: K, value: ApiMeta[K] | undefined): void {
  if (value === undefined) delete metadata[field];
  else metadata[field] = value;
}

/** Everything but metadata and a status of its own: what generation counts. */
function contentOf({ hasStatus }: Resource, object: ApiObject): Record<string, unknown> {
  const { metadata: _metadata, apiVersion: _version, kind: _kind, ...content } = object;
  if (hasStatus) delete content['status'];
  return content;
}

function copyField(object: ApiObject, old: ApiObject, field: string): void {
  if (Object.hasOwn(old, field)) object[field] = old[field];
  else delete object[field];
}

function keep(to: ApiMeta, from: ApiMeta, fields: readonly (keyof ApiMeta)[]): void {
  for (const field of fields) setOrDelete(to, field, from[field]);
}

export type Deletion =
  /** Nothing holds it. */
  | { readonly kind: 'now' }
  /** It gets a deletionTimestamp (or a nearer one) and waits for its finalizers or for the end of its grace period. */
  | { readonly kind: 'marked'; readonly object: ApiObject }
  /** It is marked already, and nothing changes. */
  | { readonly kind: 'waiting' };

const orphan = 'orphan';
const foreground = 'foregroundDeletion';

export function decideDeletion(resource: Resource, object: ApiObject, options: DeleteOptions, now: number): Deletion {
  const { metadata } = object;
  const marked = structuredClone(object);
  const finalizers = finalizersFor(metadata.finalizers ?? [], options.propagation);
  const grace = resource.strategy.gracePeriod?.(object, options.gracePeriodSeconds) ?? 0;
  if (finalizers.length === 0 && grace === 0 && !isHeld(resource, object)) return { kind: 'now' };
  if (finalizers.length > 0) marked.metadata.finalizers = [...finalizers];
  else delete marked.metadata.finalizers;
  const before = metadata.deletionGracePeriodSeconds;
  if (metadata.deletionTimestamp === undefined || before === undefined || grace < before) {
    // A shorter grace period counts from the first request.
    const since =
      metadata.deletionTimestamp === undefined ? now : Date.parse(metadata.deletionTimestamp) - (before ?? 0) * 1000;
    marked.metadata.deletionTimestamp = timestamp(since + grace * 1000);
    marked.metadata.deletionGracePeriodSeconds = grace;
    if (resource.hasGeneration && metadata.deletionTimestamp === undefined) {
      marked.metadata.generation = (metadata.generation ?? 0) + 1;
    }
  }
  resource.strategy.prepareDelete?.(marked);
  return isSameJson(marked, object) ? { kind: 'waiting' } : { kind: 'marked', object: marked };
}

function finalizersFor(present: readonly string[], propagation: DeleteOptions['propagation']): readonly string[] {
  if (propagation === undefined) return present;
  const others = present.filter((f) => f !== orphan && f !== foreground);
  if (propagation === 'Orphan') return [...others, orphan];
  return propagation === 'Foreground' ? [...others, foreground] : others;
}

/** An update took the last thing that kept a deleted object. */
export function isFinished(resource: Resource, object: ApiObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  if (deletionTimestamp === undefined || finalizers.length > 0) return false;
  return deletionGracePeriodSeconds === 0 && !isHeld(resource, object);
}

function isHeld(resource: Resource, object: ApiObject): boolean {
  return resource.strategy.isHeld?.(object) ?? false;
}
