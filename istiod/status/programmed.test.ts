/** The condition `Programmed`, from real clients of a real istiod. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { authorizationTypeUrl, structFromJson } from '../../common/api/index.ts';
import type { Condition } from '../../common/kube/kinds/core.ts';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import { until } from '../../common/testing/until.ts';
import { type World, withWorld, XdsClient } from '../testing/world.ts';
import { conditionOf, programmed } from './programmed.ts';

const policy = (port: number) => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {ports: ["${port}"]}}]}]}
`;

const connect = (w: World) => new XdsClient(w, w.istiod.ports.grpc, credentials.createInsecure());

async function condition(w: World, name: string): Promise<Condition | undefined> {
  const found = await w.source.get(authorizationPolicyKind, { namespace: 'shop', name });
  const status = found?.['status'] as { readonly conditions?: readonly Condition[] } | undefined;
  return status?.conditions?.find((c) => c.type === programmed);
}

async function says(w: World, message: RegExp, name = 'p'): Promise<Condition> {
  const found = await until(`the message ${message}`, async () => {
    const c = await condition(w, name);
    return c !== undefined && message.test(c.message ?? '') ? c : undefined;
  });
  return found;
}

test('it counts who confirmed, who came and who went', () =>
  withWorld(async (w) => {
    await w.put('p.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---${policy(80)}`);
    assert.equal((await says(w, /^0\/0 proxies$/)).status, 'Unknown');
    const first = await connect(w).subscribe().firstAnswers();
    const second = await connect(w).subscribe().firstAnswers();
    assert.equal((await says(w, /^2\/2 proxies$/)).status, 'True');
    // The second does not answer any more.
    const write = second.stream.write.bind(second.stream);
    const held: Parameters<typeof write>[0][] = [];
    second.stream.write = (m: Parameters<typeof write>[0]) => held.push(m) > 0;
    await w.put('p.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---${policy(81)}`);
    const open = await says(w, /^1\/2 proxies$/);
    assert.deepEqual([open.status, open.reason], ['False', 'Pending']);
    second.stream.write = write;
    for (const m of held) write(m);
    assert.equal((await says(w, /^2\/2 proxies$/)).status, 'True');
    first.close();
    await says(w, /^1\/1 proxies$/);
  }));

test('a refusal is told with its reason, until the next version is taken', () =>
  withWorld(async (w) => {
    const c = connect(w);
    c.refuse = (r) => (r.resources.length > 0 ? 'shop/p: port 80 is ugly' : undefined);
    await c.subscribe().firstAnswers();
    await w.put('p.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---${policy(80)}`);
    const refused = await says(w, /ugly/);
    assert.deepEqual([refused.status, refused.reason], ['False', 'Rejected']);
    assert.match(refused.message ?? '', /^0\/1 proxies; zt\.istio-system refused it: port 80 is ugly$/);
    c.refuse = () => undefined;
    await w.put('p.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---${policy(81)}`);
    assert.equal((await says(w, /^1\/1 proxies$/)).status, 'True');
  }));

test('an answer counts that comes when nothing of the object changes any more', () =>
  withWorld(async (w) => {
    const q = policy(82).replace('name: p', 'name: q');
    await w.put('p.yaml', `apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---${policy(80)}---${q}`);
    const c = connect(w);
    const node = {
      id: 'ztunnel~10.0.0.1~zt.istio-system~istio-system.svc.cluster.local',
      metadata: structFromJson({ NAMESPACE: 'istio-system', NODE_NAME: 'node-1' }),
    };
    const ask = (more: object) => c.stream.write({ node, typeUrl: authorizationTypeUrl, ...more });
    ask({ resourceNamesSubscribe: ['shop/q'] });
    await says(w, /^1\/1 proxies$/, 'q');
    await says(w, /^0\/0 proxies$/);
    ask({ resourceNamesSubscribe: ['shop/p'] });
    await says(w, /^1\/1 proxies$/);
    c.refuse = (r) => (r.resources.length > 0 ? 'shop/p: not now' : undefined);
    ask({ resourceNamesSubscribe: ['shop/p'] });
    await says(w, /not now$/);
    c.refuse = () => undefined;
    ask({ resourceNamesSubscribe: ['shop/p'] });
    await says(w, /^1\/1 proxies$/);
  }));

test('a long list of refusals is cut', () => {
  const rejections = Array.from({ length: 10 }, (_, i) => ({ proxy: `zt-${i}`, reason: 'x'.repeat(2_000) }));
  const { message } = conditionOf({ proxies: 12, confirmed: 2, rejections });
  assert.ok(message.length < 1_100);
  assert.match(message, /^2\/12 proxies; zt-0 .*and 7 more$/);
});
