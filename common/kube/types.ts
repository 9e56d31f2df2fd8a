/**
 * Kubernetes objects and the one interface through which every program sees them: over the network (common/kube/client), or inside the
 * API server (istiod/apiserver/local-source.ts). Nothing above this interface knows which.
 */
export interface ObjectMeta {
  readonly name: string;
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string;
  readonly uid: string;
  /** Opaque; equal strings mean equal objects. */
  readonly resourceVersion: string;
  readonly generation?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  /** Of an object that waits for its end. */
  readonly deletionGracePeriodSeconds?: number;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** A kind as the schema table (common/kube/schema) names it; `T` is the object's type in TypeScript. */
export interface Kind<T extends KubeObject = KubeObject> {
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
  /** Never present at run time; carries `T`. */
  readonly object?: T;
}

export interface ObjectKey {
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string;
  readonly name: string;
}

export type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface ListResult<T extends KubeObject> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

export interface PatchOptions {
  /** `status` leaves everything but .status alone; absent leaves .status alone. `approval` is of CertificateSigningRequests. */
  readonly subresource?: 'status' | 'approval';
  /** Fails with MeshError CONFLICT unless the object still has this version. */
  readonly resourceVersion?: string;
}

/** Which objects of a kind are asked for. */
export interface Within {
  readonly namespace?: string;
  readonly name?: string;
}

export interface ListOptions<T extends KubeObject> {
  readonly within?: Within;
  /** What is kept of each object, as soon as it is read: whole ones take memory. */
  readonly trim?: (object: T) => T;
}

export interface KubeSource {
  /** MeshError NOT_FOUND when the server does not have the kind. */
  list<T extends KubeObject>(kind: Kind<T>, signal: AbortSignal, options?: ListOptions<T>): Promise<ListResult<T>>;
  /**
   * Events after `resourceVersion`, in order, without gaps or repeats, until the signal aborts.
   * Throws MeshError GONE when that version is too old to resume from, API_UNAVAILABLE when the way to the objects broke: then
   * a watch from the last version that was seen goes on without a gap.
   */
  watch<T extends KubeObject>(
    kind: Kind<T>,
    resourceVersion: string,
    signal: AbortSignal,
    within?: Within,
  ): AsyncIterable<WatchEvent<T>>;
  /** undefined when there is none. */
  get<T extends KubeObject>(kind: Kind<T>, key: ObjectKey): Promise<T | undefined>;
  /** MeshError CONFLICT when it exists. Fills uid, resourceVersion and creationTimestamp. */
  create<T extends KubeObject>(kind: Kind<T>, object: NewObject): Promise<T>;
  /** JSON merge patch (RFC 7386), atomic against other processes. MeshError NOT_FOUND, CONFLICT. */
  patch<T extends KubeObject>(kind: Kind<T>, key: ObjectKey, patch: object, options?: PatchOptions): Promise<T>;
  /** Succeeds when it is gone already. */
  delete(kind: Kind, key: ObjectKey, options?: DeleteOptions): Promise<void>;
}

export interface DeleteOptions {
  /** What the object's owner gets to end it; 0 removes it at once. Default: what the object says. */
  readonly gracePeriodSeconds?: number;
  /** Fails with MeshError CONFLICT when the object of this name is another one. */
  readonly uid?: string;
}

export interface NewObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Partial<ObjectMeta> & { readonly name: string };
  readonly [field: string]: unknown;
}
