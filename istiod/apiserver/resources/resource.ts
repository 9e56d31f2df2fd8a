/**
 * One served resource as data: what discovery announces, what validation and patches need, and the hooks that its kind has.
 * Built-in kinds come from common/kube/schema, others from CustomResourceDefinitions; nothing behind this interface knows which.
 */
import type { ObjectSchema } from '../../../common/kube/schema/types.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';

export interface GroupResource {
  /** Empty for the core group. */
  readonly group: string;
  /** `pods`. */
  readonly resource: string;
}

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

export const allVerbs: readonly Verb[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

/** Where a kind that can be scaled keeps its numbers: paths such as `.spec.replicas`. */
export interface ScalePaths {
  readonly specReplicas: string;
  readonly statusReplicas: string;
  /** In status, a selector as text; undefined: `.spec.selector` as an object. */
  readonly labelSelector: string | undefined;
}

/** A column of `kubectl get`. */
export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  readonly description: string;
  /** 0: always shown; more: with `-o wide` only. */
  readonly priority: number;
  /** Of type date: the timestamp, which is shown as an age. */
  readonly value: (object: ApiObject) => string | number | boolean | null;
}

/** What a kind does beyond its schema. Hooks change the object in place; it belongs to the request. */
export interface Strategy {
  /** Defaults that depend on other fields; after those of the schema, whenever a client sends the object. */
  readonly fillIn?: (object: ApiObject) => void;
  /** Sets what only the server decides, after mutating admission; a status begins here. */
  readonly prepareCreate?: (object: ApiObject) => void;
  /** `subresource` is empty for the object itself. Not for `status`, which changes nothing else anyway. */
  readonly prepareUpdate?: (object: ApiObject, old: ApiObject, subresource: string) => void;
  /** Rules that the schema cannot say. `old` is undefined at creation; `subresource` is empty for the object itself. */
  readonly validate?: (object: ApiObject, old: ApiObject | undefined, subresource: string) => readonly Cause[];
  /** What else than metadata.finalizers keeps a deleted object. Absent: nothing. */
  readonly isHeld?: (object: ApiObject) => boolean;
  /** When an object is marked as deleted but stays for now. */
  readonly prepareDelete?: (object: ApiObject) => void;
  /** Seconds that a deletion gives the object's owner to end it; 0 deletes at once. Absent: 0. */
  readonly gracePeriod?: (object: ApiObject, asked: number | undefined) => number;
}

/** Between a version and the one that is stored. Both change the object in place, and leave apiVersion to the caller. */
export interface Conversion {
  readonly toStored: (object: ApiObject) => void;
  readonly fromStored: (object: ApiObject) => void;
}

export interface Resource extends GroupResource {
  readonly version: string;
  readonly kind: string;
  /** `PodList`. */
  readonly listKind: string;
  readonly singular: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly namespaced: boolean;
  readonly verbs: readonly Verb[];
  /** The whole object, with apiVersion, kind and metadata. */
  readonly schema: ObjectSchema;
  /** metadata.generation counts the changes of everything but metadata and status. */
  readonly hasGeneration: boolean;
  /** It has a status that only the subresource writes. */
  readonly hasStatus: boolean;
  readonly scale: ScalePaths | undefined;
  /** Without the name, which is always first; NAME and AGE alone when empty. */
  readonly columns: readonly Column[];
  /** Paths that field selectors may name besides metadata.name and metadata.namespace. */
  readonly selectableFields: readonly string[];
  readonly strategy: Strategy;
  /** Under which key and in which version objects are kept, for resources that are served in several versions. */
  readonly stored: { readonly resource: string; readonly apiVersion: string };
  /** Absent where all versions have the same fields. */
  readonly conversion?: Conversion;
  /** Fields are the API server's own, not a user's (CRDs): unknown fields and patches follow other rules. */
  readonly builtIn: boolean;
}

export function apiVersionOf({ group, version }: { readonly group: string; readonly version: string }): string {
  return group === '' ? version : `${group}/${version}`;
}
