/** Objects of rbac.authorization.k8s.io, as validation leaves them. */
import type { ApiObject } from '../../objects.ts';

export interface PolicyRule {
  readonly verbs: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

export interface Role extends ApiObject {
  rules?: readonly PolicyRule[] | null;
  aggregationRule?: { readonly clusterRoleSelectors?: readonly unknown[] };
}

export interface Subject {
  readonly kind: 'User' | 'Group' | 'ServiceAccount';
  readonly apiGroup?: string;
  readonly name: string;
  /** Of service accounts. */
  readonly namespace?: string;
}

export interface Binding extends ApiObject {
  subjects?: readonly Subject[] | null;
  roleRef: { readonly apiGroup?: string; readonly kind: 'Role' | 'ClusterRole'; readonly name: string };
}

/** As the store names them. */
export const stores = {
  role: 'roles.rbac.authorization.k8s.io',
  clusterRole: 'clusterroles.rbac.authorization.k8s.io',
  roleBinding: 'rolebindings.rbac.authorization.k8s.io',
  clusterRoleBinding: 'clusterrolebindings.rbac.authorization.k8s.io',
} as const;

export const group = 'rbac.authorization.k8s.io';
