/** Who calls and what they may do: authentication.k8s.io, authorization.k8s.io. None of these objects is kept. */
import type { Kind } from '../types.ts';
import { labelSelector } from './apps.ts';
import { boolean, integer, type KindEntry, list, map, object, string } from './types.ts';

const authentication = { group: 'authentication.k8s.io', version: 'v1' } as const;
const authorization = { group: 'authorization.k8s.io', version: 'v1' } as const;

export const tokenReviewKind: Kind = {
  ...authentication,
  kind: 'TokenReview',
  plural: 'tokenreviews',
  namespaced: false,
};
export const selfSubjectReviewKind: Kind = {
  ...authentication,
  kind: 'SelfSubjectReview',
  plural: 'selfsubjectreviews',
  namespaced: false,
};
const accessReview = (kind: string, namespaced: boolean): Kind => ({
  ...authorization,
  kind,
  plural: `${kind.toLowerCase()}s`,
  namespaced,
});
export const subjectAccessReviewKind = accessReview('SubjectAccessReview', false);
export const localSubjectAccessReviewKind = accessReview('LocalSubjectAccessReview', true);
export const selfSubjectAccessReviewKind = accessReview('SelfSubjectAccessReview', false);
export const selfSubjectRulesReviewKind = accessReview('SelfSubjectRulesReview', false);

const strings = list(string());
const extra = map(strings);
const userInfo = object({ username: string(), uid: string(), groups: strings, extra });

/** spec of a TokenRequest, which is a subresource's body and no kind of its own. */
export const tokenRequestSpec = object({
  audiences: strings,
  expirationSeconds: integer(),
  boundObjectRef: object({ kind: string(), apiVersion: string(), name: string(), uid: string() }),
});

const selectorTerms = object({
  rawSelector: string(),
  requirements: labelSelector.properties?.['matchExpressions'] ?? strings,
});
const actions = {
  resourceAttributes: object({
    namespace: string(),
    verb: string(),
    group: string(),
    version: string(),
    resource: string(),
    subresource: string(),
    name: string(),
    fieldSelector: selectorTerms,
    labelSelector: selectorTerms,
  }),
  nonResourceAttributes: object({ path: string(), verb: string() }),
};
const ofUser = object({ ...actions, user: string(), groups: strings, uid: string(), extra });
const accessStatus = object({
  allowed: boolean,
  denied: boolean,
  reason: string(),
  evaluationError: string(),
});

const entry = (
  kind: Kind,
  spec: ReturnType<typeof object> | undefined,
  status: ReturnType<typeof object>,
): KindEntry => ({
  kind,
  versions: ['v1'],
  nameRule: 'path',
  fields: object({ ...(spec === undefined ? {} : { 'spec!': spec }), status }),
});

export const accessKinds: readonly KindEntry[] = [
  entry(
    tokenReviewKind,
    object({ token: string(), audiences: strings }),
    object({ authenticated: boolean, user: userInfo, audiences: strings, error: string() }),
  ),
  entry(selfSubjectReviewKind, undefined, object({ userInfo })),
  entry(subjectAccessReviewKind, ofUser, accessStatus),
  entry(localSubjectAccessReviewKind, ofUser, accessStatus),
  entry(selfSubjectAccessReviewKind, object(actions), accessStatus),
  entry(
    selfSubjectRulesReviewKind,
    object({ namespace: string() }),
    object({
      resourceRules: list(
        object({ 'verbs!': strings, apiGroups: strings, resources: strings, resourceNames: strings }),
      ),
      nonResourceRules: list(object({ 'verbs!': strings, nonResourceURLs: strings })),
      incomplete: boolean,
      evaluationError: string(),
    }),
  ),
];
