/** What a compilation gives: whole, or a reason that names the field. */
export type Compiled<T> =
  | { readonly kind: 'ok'; readonly value: T }
  /** For the NACK: each problem with its field, `Cluster.lb_policy: ...`. */
  | { readonly kind: 'rejected'; readonly reason: string };
