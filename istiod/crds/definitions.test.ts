import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MeshError } from '../../common/core/errors.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import { checkObject } from '../../common/kube/schema/check-object.ts';
import { formatPath } from '../../common/kube/schema/validate.ts';
import { until } from '../../common/testing/until.ts';
import { openTestApi } from '../testing/api-server.ts';
import { meshDefinitions } from './definitions.ts';
import { descriptions } from './descriptions.ts';

const policy = (spec: object, apiVersion = 'security.istio.io/v1') => ({
  apiVersion,
  kind: 'AuthorizationPolicy',
  metadata: { name: 'p', namespace: 'default' },
  spec,
});
const gateway = (spec: object) => ({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'Gateway',
  metadata: { name: 'p', namespace: 'default' },
  spec,
});
const listener = { name: 'mesh', port: 15008, protocol: 'HBONE' };
const targetRef = { kind: 'Service', name: 'web' };

const samples: readonly { readonly object: ReturnType<typeof policy>; readonly wrong?: string }[] = [
  { object: policy({}) },
  {
    object: policy(
      { action: 'DENY', rules: [{ from: [{ source: { principals: ['*'] } }] }] },
      'security.istio.io/v1beta1',
    ),
  },
  { object: policy({ selector: { matchLabels: { app: 'web' } } }) },
  { object: policy({ targetRefs: [targetRef] }) },
  { object: policy({ action: 'FORBID' }), wrong: 'spec.action' },
  { object: policy({ rulez: [] }), wrong: 'spec.rulez' },
  { object: policy({ rules: [{ when: [{ values: ['x'] }] }] }), wrong: 'spec.rules[0].when[0].key' },
  { object: policy({ selector: {}, targetRefs: [targetRef] }), wrong: 'spec' },
  {
    object: gateway({
      gatewayClassName: 'istio-waypoint',
      listeners: [{ ...listener, tls: { options: { any: 'thing' } } }],
    }),
  },
  { object: gateway({ gatewayClassName: 'istio-waypoint', listeners: [] }), wrong: 'spec.listeners' },
  {
    object: gateway({ gatewayClassName: 'x', listeners: [{ ...listener, port: 0 }] }),
    wrong: 'spec.listeners[0].port',
  },
  { object: gateway({ gatewayClassName: 'x', listeners: [listener, listener] }), wrong: 'spec.listeners[1]' },
];

test('the API server takes and refuses by them what the table does', async () => {
  await using server = await openTestApi();
  const client = createKubeClient({ access: loadKubeconfig(server.kubeconfig) });
  const options = { fieldManager: 'test', force: true };
  for (const definition of meshDefinitions()) await client.apply(definition, options);
  const probe = samples[0]!.object;
  await until('the kinds to be served', async () => {
    const lists = await Promise.all(samples.map((s) => client.apply(s.object, options).catch((e: unknown) => e)));
    return lists.every((e) => !(e instanceof MeshError) || e.code !== 'NOT_FOUND');
  });
  for (const { object, wrong } of samples) {
    await client.remove(object);
    const checked = checkObject(object);
    const told = checked.kind === 'invalid' ? checked.issues.map((i) => formatPath(i.path)) : [];
    assert.equal(
      told.some((path) => path.startsWith(wrong ?? '-')),
      wrong !== undefined,
      `the table on ${JSON.stringify(object)}`,
    );
    const applied = client.apply(object, options);
    if (wrong === undefined) await applied;
    else {
      const isTold = (e: unknown) => e instanceof MeshError && e.code === 'CONFIG' && e.message.includes(wrong);
      await assert.rejects(applied, isTold, JSON.stringify(object));
    }
  }
  await client.remove(probe);
  await client.apply(probe, options);
  const written = await client.patch(
    authorizationPolicyKind,
    probe.metadata,
    { status: { conditions: [{ type: 'A', status: 'True', observedGeneration: 1 }] } },
    { subresource: 'status' },
  );
  assert.deepEqual([written.status?.conditions?.length, written.metadata.generation], [1, 1]);
  client.close();
});

test('each field says what it is for, and no words are left over', () => {
  const [silent, used]: [string[], Set<string>] = [[], new Set()];
  const walk = (schema: Printed, around: string, path: string): void => {
    for (const [name, s] of Object.entries(schema.properties ?? {})) {
      const at = `${path}.${name}`;
      if (s.description === undefined && name !== 'metadata') silent.push(at);
      if (s.description === descriptions[`${around}.${name}`]) used.add(`${around}.${name}`);
      walk(s, name, at);
    }
    for (const inner of [schema.items, schema.additionalProperties]) if (inner) walk(inner, around, path);
  };
  for (const definition of meshDefinitions()) {
    const { names, versions } = definition['spec'] as {
      readonly names: { readonly kind: string };
      readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Printed } }[];
    };
    for (const { schema } of versions) walk(schema.openAPIV3Schema, '', names.kind);
  }
  assert.deepEqual(silent, []);
  assert.deepEqual(
    Object.keys(descriptions).filter((key) => !used.has(key)),
    [],
  );
});

interface Printed {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Printed>>;
  readonly items?: Printed;
  readonly additionalProperties?: Printed;
}
