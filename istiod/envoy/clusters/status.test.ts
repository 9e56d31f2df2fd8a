import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import { ineffective } from '../routes/status.ts';
import { objects, service, viewOf } from '../routes/testing/view.ts';
import { destinationRuleConditions } from './status.ts';

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
