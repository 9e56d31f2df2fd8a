/**
 * Which writes API servers ask istiod about. The manifest never changes itself: failurePolicy is Fail from the start. Its one blank is
 * caBundle, which istiod fills in (ca-bundle.ts): the root is made, and rotated, by istiod, so no manifest can hold it.
 */
import { customKinds } from '../../common/kube/schema/table.ts';
import type { NewObject } from '../../common/kube/types.ts';

export interface WebhookPlace {
  /** Namespace of istiod's Service. */
  readonly namespace: string;
  /** Name of istiod's Service. */
  readonly service: string;
}

export function webhookConfiguration({ namespace, service }: WebhookPlace): NewObject {
  const groups = [...new Set(customKinds.map((c) => c.kind.group))].filter((g) =>
    /\.(istio\.io|aquifer\.dev)$/.test(g),
  );
  const rules = groups.map((group) => ({
    apiGroups: [group],
    apiVersions: [...new Set(customKinds.filter((c) => c.kind.group === group).flatMap((c) => c.versions))],
    operations: ['CREATE', 'UPDATE'],
    resources: ['*'],
    scope: '*',
  }));
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: `istio-validator-${namespace}`, labels: { app: 'istiod' } },
    webhooks: [
      {
        name: 'rev.validation.istio.io',
        admissionReviewVersions: ['v1'],
        clientConfig: { service: { name: service, namespace, path: '/validate', port: 443 } },
        rules,
        failurePolicy: 'Fail',
        matchPolicy: 'Equivalent',
        sideEffects: 'None',
        timeoutSeconds: 10,
      },
    ],
  };
}
