import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { XBackendTrafficPolicy } from '../../../common/kube/kinds/gateway-api/experimental.ts';
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { ineffective } from '../routes/status.ts';
import { objects, service, viewOf } from '../routes/testing/view.ts';
import { destinationRuleConditions, trafficPolicyStatuses } from './status.ts';

test('what of a policy no proxy is told is said, at each level', () => {
  const [rule] = objects(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: web }
spec:
  host: "*.shop.svc.cluster.local"
  trafficPolicy:
    outlierDetection: { outlierDetectionHttpErrorCodes: [429] }
    portLevelSettings: [{ port: { number: 80 }, loadBalancer: { zoneAwareLbSetting: { minClusterSize: 6 } } }]
  subsets: [{ name: v1, trafficPolicy: { retryBudget: { budgetInterval: 1s } } }, { name: v2, trafficPolicy: { retryBudget: {} } }]
`);
  const conditions = destinationRuleConditions(viewOf([service('shop/web:http=80')], []), rule as DestinationRule);
  const said = conditions
    .get(ineffective)
    ?.message.split('; ')
    .map((part) => part.split(': ')[0]);
  assert.deepEqual(said, [
    'spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes',
    'spec.trafficPolicy.portLevelSettings[0].loadBalancer.zoneAwareLbSetting.minClusterSize',
    'spec.subsets[0].trafficPolicy.retryBudget.budgetInterval',
  ]);
});

test('of several policies only the oldest keeps sessions: the others are told which', () => {
  const yaml = (name: string) => `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: ${name} }
spec: { targetRefs: [{ group: '', kind: Service, name: web }], sessionPersistence: { type: Header, header: { name: x-s } } }
`;
  const all = objects(['retries', 'old', 'young'].map(yaml).join('---')) as XBackendTrafficPolicy[];
  const [retries, ...rest] = all as [XBackendTrafficPolicy, ...XBackendTrafficPolicy[]];
  const { sessionPersistence: _, ...spec } = retries.spec;
  const view = viewOf([service('shop/web:http=80')], [{ ...retries, spec }, ...rest]);
  const said = [{ ...retries, spec }, ...rest].map(
    (p) => trafficPolicyStatuses(view, p as XBackendTrafficPolicy)[0]!.conditions.get(ineffective)?.message,
  );
  assert.deepEqual(said, [
    undefined,
    undefined,
    'spec.sessionPersistence: the older XBackendTrafficPolicy old says how sessions of web are kept',
  ]);
});
