import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { authorize } from '../../common/authz/l4.ts';
import { type Ip, type Port, parseIp } from '../../common/core/net.ts';
import type { PeerAuthentication } from '../../common/kube/kinds/security.ts';
import type { AuthorizationPolicy } from '../../common/mesh/types.ts';
import { identity } from '../../common/testing/builders.ts';
import { type PeerScope, peerRequirement, portPolicy, staticStrict } from './peer-authentication.ts';

type Spec = NonNullable<PeerAuthentication['spec']>;
type Mode = NonNullable<NonNullable<Spec['mtls']>['mode']>;
const root = 'istio-system';
const mtls = (mode: Mode): Spec => ({ mtls: { mode } });
const web = { selector: { matchLabels: { app: 'web' } } };
const ports = (modes: Record<string, Mode>): Spec => ({
  portLevelMtls: Object.fromEntries(Object.entries(modes).map(([port, mode]) => [port, { mode }])),
});

interface Given {
  readonly mesh?: readonly Spec[];
  readonly namespace?: readonly Spec[];
}

/** The first of each list is the oldest, though not the first by name. */
function scopeOf({ mesh = [], namespace = [] }: Given): PeerScope {
  const peers = (where: string, specs: readonly Spec[]): readonly PeerAuthentication[] =>
    specs.map((spec, i) => ({
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: {
        name: `p${9 - i}`,
        namespace: where,
        uid: 'u',
        resourceVersion: '1',
        creationTimestamp: `2026-01-0${i + 1}T00:00:00Z`,
      },
      spec,
    }));
  return { inNamespace: [...peers('shop', namespace)].reverse(), inRoot: peers(root, mesh), rootNamespace: root };
}

/** On which of the ports 80 and 81 a workload with the label app=web refuses plain text. */
function strictPorts(scope: PeerScope): readonly number[] {
  const { policy } = peerRequirement({ app: 'web' }, scope);
  const sent: readonly AuthorizationPolicy[] = [
    staticStrict(root),
    ...scope.inNamespace.flatMap((p) => portPolicy(p, scope) ?? []),
  ];
  const policies = sent.filter((p) => `${p.namespace}/${p.name}` === policy);
  assert.equal(policies.length, policy === undefined ? 0 : 1, `${policy} is sent`);
  const allowed = (port: number, peer: ReturnType<typeof identity> | undefined) => {
    const destination = { ip: parseIp('10.0.0.2') as Ip, port: port as Port };
    const connection = { source: parseIp('10.0.0.1') as Ip, destination, identity: peer };
    return authorize(connection, { policies, missing: [] }, new Set()).kind === 'allow';
  };
  for (const port of [80, 81]) assert.ok(allowed(port, identity('shop', 'client')), `mTLS to ${port}`);
  return [80, 81].filter((port) => !allowed(port, undefined));
}

const all = [80, 81];
const cases: readonly [string, Given, readonly number[]][] = [
  ['nothing', {}, []],
  ['mesh STRICT', { mesh: [mtls('STRICT')] }, all],
  ['mesh PERMISSIVE', { mesh: [mtls('PERMISSIVE')] }, []],
  ['mesh DISABLE', { mesh: [mtls('DISABLE')] }, []],
  ['mesh without spec', { mesh: [{}] }, []],
  ['the namespace beats the mesh', { mesh: [mtls('STRICT')], namespace: [mtls('PERMISSIVE')] }, []],
  ['namespace STRICT', { namespace: [mtls('STRICT')] }, all],
  ['a namespace that is UNSET inherits', { mesh: [mtls('STRICT')], namespace: [mtls('UNSET')] }, all],
  ['an empty selector is none', { namespace: [{ selector: {}, ...mtls('STRICT') }] }, all],
  ['the workload beats the namespace', { namespace: [mtls('STRICT'), { ...web, ...mtls('DISABLE') }] }, []],
  ['workload STRICT', { namespace: [{ ...web, ...mtls('STRICT') }] }, all],
  ['a workload that is UNSET inherits', { mesh: [mtls('STRICT')], namespace: [web] }, all],
  ['another workload STRICT', { namespace: [{ selector: { matchLabels: { app: 'db' } }, ...mtls('STRICT') }] }, []],
  ['a selector in the root namespace is for its own pods', { mesh: [{ ...web, ...mtls('STRICT') }] }, []],
  ['the oldest wins: STRICT', { namespace: [mtls('STRICT'), mtls('PERMISSIVE')] }, all],
  ['the oldest wins: PERMISSIVE', { namespace: [mtls('PERMISSIVE'), mtls('STRICT')] }, []],
  ['a STRICT port', { namespace: [{ ...web, ...ports({ 80: 'STRICT' }) }] }, [80]],
  ['two STRICT ports', { namespace: [{ ...web, ...ports({ 80: 'STRICT', 81: 'STRICT' }) }] }, all],
  ['a PERMISSIVE port', { namespace: [{ ...web, ...mtls('STRICT'), ...ports({ 80: 'PERMISSIVE' }) }] }, [81]],
  ['a DISABLE port', { namespace: [{ ...web, ...mtls('STRICT'), ...ports({ 81: 'DISABLE' }) }] }, [80]],
  ['an UNSET port', { namespace: [{ ...web, ...mtls('STRICT'), ...ports({ 80: 'UNSET' }) }] }, all],
  ['ports that say what holds anyway', { namespace: [{ ...web, ...ports({ 80: 'PERMISSIVE' }) }] }, []],
  [
    'a PERMISSIVE port under a STRICT mesh',
    { mesh: [mtls('STRICT')], namespace: [{ ...web, ...ports({ 80: 'PERMISSIVE' }) }] },
    [81],
  ],
  ['ports need a selector', { namespace: [ports({ 80: 'STRICT' })] }, []],
];

describe('plain text is refused on', () => {
  for (const [name, given, expected] of cases) {
    test(`${name}: ${expected.join(' and ') || 'no port'}`, () => {
      assert.deepEqual(strictPorts(scopeOf(given)), expected);
    });
  }
});

test('the policies have the names and the form that node proxies of Istio get', () => {
  const scope = scopeOf({ namespace: [{ ...web, ...ports({ 81: 'STRICT', 9: 'STRICT' }) }] });
  const converted = portPolicy(scope.inNamespace[0]!, scope);
  const [match] = converted?.groups[0]?.rules[0]?.matches ?? [];
  assert.deepEqual(
    [converted?.namespace, converted?.name, converted?.scope, converted?.action],
    ['shop', 'converted_peer_authentication_p9', 'WORKLOAD_SELECTOR', 'DENY'],
  );
  assert.deepEqual([match?.notPrincipals, match?.destinationPorts], [[{ kind: 'presence' }], [9, 81]]);
  assert.equal(peerRequirement({ app: 'db' }, scope).policy, undefined);
  assert.equal(
    peerRequirement(undefined, scopeOf({ mesh: [mtls('STRICT')] })).policy,
    'istio-system/istio_converted_static_strict',
  );
});
