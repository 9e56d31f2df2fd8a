/** Kubernetes objects inside the API server: freshly parsed JSON that one request owns and may change in place. */
export interface ApiObject {
  apiVersion: string;
  kind: string;
  metadata: ApiMeta;
  [field: string]: unknown;
}

export interface ApiMeta {
  name?: string;
  generateName?: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  managedFields?: ManagedFieldsEntry[];
  selfLink?: string;
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ManagedFieldsEntry {
  manager?: string;
  operation?: 'Apply' | 'Update';
  apiVersion?: string;
  time?: string;
  fieldsType?: string;
  fieldsV1?: Record<string, unknown>;
  subresource?: string;
}

/**
 * An object as JSON text in UTF-8, with memory of its own: the one form in which objects are kept, sent and written to the
 * disk. Nobody changes the bytes.
 */
export type Json = Buffer;

/** `value` has a JSON text. */
export function toJson(value: object): Json {
  const text = JSON.stringify(value);
  // Not of Node's pool, of which a small object would keep 8 KB alive.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}

/** A new object at each call. */
export function fromJson<T = ApiObject>(json: Json): T {
  return JSON.parse(json.toString()) as T;
}
