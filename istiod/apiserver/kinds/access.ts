/** authentication.k8s.io and authorization.k8s.io, as the API server serves them: questions that are posted and answered. */
import { accessKinds } from '../../../common/kube/schema/access.ts';
import type { BuiltInKind } from './built-in.ts';

export const accessResources: readonly BuiltInKind[] = accessKinds.map((entry) => ({ entry, verbs: ['create'] }));
