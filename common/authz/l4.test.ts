import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type Compat, compatCases } from '../core/compat.ts';
import type { GoverningPolicies } from '../mesh/store.ts';
import type { AuthorizationPolicy, PolicyMatch, StringMatch } from '../mesh/types.ts';
import { fewIps, policies, policyMatches } from '../testing/arbitraries.ts';
import { cidr, groups, identity, ip, match, policy, port } from '../testing/builders.ts';
import { cidrContains } from '../testing/cidr.ts';
import { authorize, type Decision, explain } from './l4.ts';
import type { L4Connection } from './matchers.ts';

const ours: Compat = new Set();
const istio: Compat = new Set(compatCases);

const web: L4Connection = {
  source: ip('10.0.0.1'),
  identity: identity('shop', 'web'),
  destination: { ip: ip('10.0.1.1'), port: port(8080) },
};
const plainText: L4Connection = { ...web, identity: undefined };

function decide(
  c: L4Connection,
  list: readonly AuthorizationPolicy[],
  missing: readonly string[] = [],
  compat = ours,
): Decision {
  return authorize(c, { policies: list, missing }, compat);
}

/** Whether an ALLOW of this one match lets the connection pass. */
function holds(m: Partial<PolicyMatch>, c: L4Connection = web): boolean {
  return decide(c, [policy({ groups: groups(match(m)) })]).kind === 'allow';
}

const exact = (value: string): StringMatch => ({ kind: 'exact', value });
const prefix = (value: string): StringMatch => ({ kind: 'prefix', value });
const suffix = (value: string): StringMatch => ({ kind: 'suffix', value });
const presence: StringMatch = { kind: 'presence' };
const deny = (over: Partial<AuthorizationPolicy> = {}) => policy({ name: 'deny', action: 'DENY', ...over });
const yes = match({ destinationPorts: [8080] });
const no = match({ destinationPorts: [1] });

describe('order of evaluation', () => {
  test('no policies: allowed', () => {
    assert.deepEqual(decide(web, []), { kind: 'allow', by: { kind: 'no-allow-policy' }, dryRun: [] });
  });

  test('a DENY that matches wins over an ALLOW that does', () => {
    const d = decide(web, [policy({ groups: groups(yes) }), deny({ groups: groups(no, yes) })]);
    assert.deepEqual(d.kind === 'deny' && d.by, {
      kind: 'rule',
      hit: { policy: 'default/deny', group: 0, matches: [1] },
    });
  });

  test('a DENY that does not match leaves it to the ALLOWs', () => {
    assert.equal(decide(web, [deny({ groups: groups(no) })]).kind, 'allow');
    assert.equal(decide(web, [deny({ groups: groups(no) }), policy({ groups: groups(no) })]).kind, 'deny');
    assert.equal(decide(web, [deny({ groups: groups(no) }), policy({ groups: groups(yes) })]).kind, 'allow');
  });

  test('any ALLOW is enough, and the decision says which', () => {
    const d = decide(web, [policy({ name: 'a', groups: groups(no) }), policy({ name: 'b', groups: groups(yes) })]);
    assert.deepEqual(d.kind === 'allow' && d.by, {
      kind: 'rule',
      hit: { policy: 'default/b', group: 0, matches: [0] },
    });
  });

  test('with ALLOWs and no match: denied, naming them', () => {
    const d = decide(web, [policy({ name: 'a', groups: groups(no) }), policy({ name: 'b' })]);
    assert.ok(d.kind === 'deny');
    assert.deepEqual(d.by, { kind: 'not-allowed', policies: ['default/a', 'default/b'] });
    assert.equal(
      d.explanation,
      'cluster.local/ns/shop/sa/web from 10.0.0.1 to 10.0.1.1:8080: no rule of ALLOW policy default/a, default/b holds',
    );
  });

  test('dry-run policies are reported and decide nothing', () => {
    const list = [
      deny({ name: 'd1', dryRun: true, groups: groups(yes) }),
      deny({ name: 'd2', dryRun: true, groups: groups(no) }),
      policy({ name: 'a1', dryRun: true }),
    ];
    assert.deepEqual(decide(web, list), {
      kind: 'allow',
      by: { kind: 'no-allow-policy' },
      dryRun: [
        { policy: 'default/d1', action: 'DENY', matched: true },
        { policy: 'default/d2', action: 'DENY', matched: false },
        { policy: 'default/a1', action: 'ALLOW', matched: false },
      ],
    });
  });
});

describe('a policy that has not arrived', () => {
  const allow = policy({ groups: groups(yes) });

  test('refuses, whatever else allows', () => {
    const d = decide(web, [allow], ['shop/late']);
    assert.ok(d.kind === 'deny');
    assert.deepEqual(d.by, { kind: 'missing-policy', policies: ['shop/late'] });
    assert.match(d.explanation, /shop\/late/);
    assert.equal(decide(web, [], ['shop/late']).kind, 'deny');
  });

  test('does not hide the rule that denies anyway', () => {
    const d = decide(web, [deny({ groups: groups(yes) })], ['shop/late']);
    assert.equal(d.kind === 'deny' && d.by.kind, 'rule');
  });

  test('is skipped with missing-policy or istio', () => {
    assert.equal(decide(web, [allow], ['shop/late'], new Set(['missing-policy'] as const)).kind, 'allow');
    assert.equal(decide(web, [], ['shop/late'], istio).kind, 'allow');
    assert.equal(decide(web, [], ['shop/late'], new Set(['l7-deny'] as const)).kind, 'deny');
  });
});

describe('shapes', () => {
  test('no groups: never matches', () => {
    assert.equal(decide(web, [policy()]).kind, 'deny');
    assert.equal(decide(web, [deny()]).kind, 'allow');
  });

  test('a group without rules matches everything', () => {
    assert.equal(decide(web, [policy({ groups: [{ rules: [] }] })]).kind, 'allow');
    assert.equal(decide(web, [deny({ groups: [{ rules: [] }] })]).kind, 'deny');
  });

  test('a rule without matches holds', () => {
    assert.equal(decide(web, [policy({ groups: [{ rules: [{ matches: [] }] }] })]).kind, 'allow');
    assert.equal(decide(web, [policy({ groups: [{ rules: [{ matches: [] }, { matches: [no] }] }] })]).kind, 'deny');
  });

  test('any group, all rules, any match', () => {
    const shape = (...rules: PolicyMatch[][]) => ({ rules: rules.map((matches) => ({ matches })) });
    const allowed = (...g: ReturnType<typeof shape>[]) => decide(web, [policy({ groups: g })]).kind === 'allow';
    assert.equal(allowed(shape([no]), shape([yes])), true);
    assert.equal(allowed(shape([yes], [no])), false);
    assert.equal(allowed(shape([no, yes], [yes, no])), true);
  });

  test('an empty match never holds in an ALLOW', () => {
    assert.equal(holds({}), false);
    assert.equal(decide(web, [policy({ groups: groups(match(), yes) })]).kind, 'allow');
  });

  test('an empty match in a DENY is what is left of L7 attributes: refused, unless Istio is to be followed', () => {
    const stripped = [deny({ groups: groups(match()) })];
    assert.equal(decide(web, stripped).kind, 'deny');
    assert.equal(decide(web, stripped, [], new Set(['l7-deny'] as const)).kind, 'allow');
    assert.equal(decide(web, stripped, [], istio).kind, 'allow');
    assert.equal(decide(web, stripped, [], new Set(['missing-policy'] as const)).kind, 'deny');
    const partly = [deny({ groups: [{ rules: [{ matches: [match()] }, { matches: [no] }] }] })];
    assert.equal(decide(web, partly).kind, 'allow', 'the L4 part still has to hold');
  });
});

describe('fields', () => {
  test('each field by its own, with and without an identity', () => {
    const table: readonly (readonly [Partial<PolicyMatch>, withIdentity: boolean, plain: boolean])[] = [
      [{ namespaces: [exact('shop')] }, true, false],
      [{ namespaces: [exact('shop2'), prefix('sh')] }, true, false],
      [{ namespaces: [suffix('op')] }, true, false],
      [{ namespaces: [exact('other')] }, false, false],
      [{ namespaces: [presence] }, true, false],
      [{ namespaces: [prefix('')] }, true, false],
      [{ notNamespaces: [exact('shop')] }, false, true],
      [{ notNamespaces: [exact('other')] }, true, true],
      [{ notNamespaces: [presence] }, false, true],
      [{ principals: [exact('cluster.local/ns/shop/sa/web')] }, true, false],
      [{ principals: [exact('spiffe://cluster.local/ns/shop/sa/web')] }, true, false],
      [{ principals: [prefix('spiffe://cluster.local/ns/shop/')] }, true, false],
      [{ principals: [suffix('/sa/web')] }, true, false],
      [{ principals: [exact('other.td/ns/shop/sa/web')] }, false, false],
      [{ principals: [exact('cluster.local/ns/shop/sa/we')] }, false, false],
      [{ principals: [presence] }, true, false],
      [{ notPrincipals: [presence] }, false, true],
      [{ notPrincipals: [exact('cluster.local/ns/shop/sa/db')] }, true, true],
      [{ notPrincipals: [exact('cluster.local/ns/shop/sa/web')] }, false, true],
      [{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] }, true, false],
      [{ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'db' }] }, false, false],
      [{ serviceAccounts: [{ namespace: 'x', serviceAccount: 'web' }] }, false, false],
      [{ notServiceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] }, false, true],
      [{ sourceIps: [cidr('10.0.0.0/24')] }, true, true],
      [{ sourceIps: [cidr('10.0.1.0/24'), cidr('10.0.0.1')] }, true, true],
      [{ sourceIps: [cidr('10.0.0.0/25'), cidr('::/0')] }, true, true],
      [{ sourceIps: [cidr('::/0')] }, false, false],
      [{ sourceIps: [cidr('10.0.0.2/31')] }, false, false],
      [{ sourceIps: [cidr('0.0.0.0/0')] }, true, true],
      [{ notSourceIps: [cidr('10.0.0.1')] }, false, false],
      [{ notSourceIps: [cidr('10.0.0.2')] }, true, true],
      [{ destinationIps: [cidr('10.0.1.1/32')] }, true, true],
      [{ destinationIps: [cidr('10.0.0.0/24')] }, false, false],
      [{ notDestinationIps: [cidr('10.0.0.0/15')] }, false, false],
      [{ destinationPorts: [80, 8080] }, true, true],
      [{ destinationPorts: [80] }, false, false],
      [{ destinationPorts: [65_536 + 8080] }, false, false],
      [{ notDestinationPorts: [8080] }, false, false],
      [{ notDestinationPorts: [80] }, true, true],
      [{ namespaces: [exact('shop')], destinationPorts: [80] }, false, false],
      [{ namespaces: [exact('shop')], destinationPorts: [8080] }, true, false],
      [{ namespaces: [presence], notNamespaces: [exact('shop')] }, false, false],
      [{ notPrincipals: [presence], destinationPorts: [8080] }, false, true],
    ];
    for (const [m, withIdentity, plain] of table) {
      assert.deepEqual([holds(m, web), holds(m, plainText)], [withIdentity, plain], JSON.stringify(m));
    }
  });

  test('an identity of the same name in another trust domain is another principal, but the same service account', () => {
    const foreign = { ...web, identity: identity('shop', 'web', 'evil.local') };
    assert.equal(holds({ principals: [exact('cluster.local/ns/shop/sa/web')] }, foreign), false);
    assert.equal(holds({ serviceAccounts: [{ namespace: 'shop', serviceAccount: 'web' }] }, foreign), true);
  });

  test('STRICT as istiod writes it refuses plain text only', () => {
    const strict = deny({ groups: groups(match({ notPrincipals: [presence] })) });
    assert.equal(decide(web, [strict]).kind, 'allow');
    const d = decide(plainText, [strict]);
    assert.ok(d.kind === 'deny');
    assert.equal(
      d.explanation,
      'plain text from 10.0.0.1 to 10.0.1.1:8080: denied by policy default/deny, group 0, rule 0 match 0',
    );
  });
});

describe('explain', () => {
  test('goes through every step', () => {
    const governing: GoverningPolicies = {
      policies: [
        deny({ groups: groups(no) }),
        policy({ groups: [{ rules: [{ matches: [yes] }, { matches: [match(), no] }] }] }),
        policy({ name: 'none' }),
        policy({ name: 'all', dryRun: true, groups: [{ rules: [] }] }),
      ],
      missing: ['shop/late'],
    };
    assert.deepEqual(explain(web, governing, new Set(['missing-policy'] as const)), [
      'cluster.local/ns/shop/sa/web from 10.0.0.1 to 10.0.1.1:8080',
      'DENY policy default/deny:',
      '  group 0 rule 0 match 0: destinationPorts does not hold',
      'ALLOW policy default/policy:',
      '  group 0 rule 0 match 0: holds',
      '  group 0 rule 1 match 0: is empty, which never holds',
      '  group 0 rule 1 match 1: destinationPorts does not hold',
      'ALLOW policy default/none:',
      '  has no rules, so nothing matches it',
      'ALLOW policy default/all (dry run, only reported):',
      '  group 0: holds, it asks for nothing',
      'policy shop/late has not arrived: skipped (AQUIFER_COMPAT)',
      'DENY: cluster.local/ns/shop/sa/web from 10.0.0.1 to 10.0.1.1:8080: no rule of ALLOW policy default/policy, default/none holds',
    ]);
    assert.match(explain(web, governing, ours).at(-2)!, /refused until it has/);
    assert.equal(
      explain(web, { policies: [], missing: [] }, ours).at(-1),
      'ALLOW: no ALLOW policy applies to the workload',
    );
  });
});

/** Written from ambient-wire 5.1 and 5.2 line by line, without sharing anything. */
function obviously(c: L4Connection, { policies: all, missing }: GoverningPolicies, compat: Compat): 'allow' | 'deny' {
  const id = c.identity;
  const principal = id && `${id.trustDomain}/ns/${id.namespace}/sa/${id.serviceAccount}`;
  const str = (m: StringMatch, v: string | undefined) => {
    if (v === undefined) return false;
    if (m.kind === 'presence') return v.length > 0;
    if (m.kind === 'exact') return v === m.value;
    return m.kind === 'prefix' ? v.startsWith(m.value) : v.endsWith(m.value);
  };
  const strip = (m: StringMatch): StringMatch =>
    m.kind === 'presence' ? m : { kind: m.kind, value: m.value.replace(/^spiffe:\/\//, '') };
  const holdsFor = (m: PolicyMatch, action: 'ALLOW' | 'DENY') => {
    if (Object.values(m).every((list) => list.length === 0)) return action === 'DENY' && !compat.has('l7-deny');
    const pairs: [boolean[], boolean[]][] = [
      [m.namespaces.map((x) => str(x, id?.namespace)), m.notNamespaces.map((x) => str(x, id?.namespace))],
      [m.principals.map((x) => str(strip(x), principal)), m.notPrincipals.map((x) => str(strip(x), principal))],
      [m.sourceIps.map((x) => cidrContains(x, c.source)), m.notSourceIps.map((x) => cidrContains(x, c.source))],
      [
        m.destinationIps.map((x) => cidrContains(x, c.destination.ip)),
        m.notDestinationIps.map((x) => cidrContains(x, c.destination.ip)),
      ],
      [
        m.destinationPorts.map((x) => x === c.destination.port),
        m.notDestinationPorts.map((x) => x === c.destination.port),
      ],
      [
        m.serviceAccounts.map((x) => x.namespace === id?.namespace && x.serviceAccount === id?.serviceAccount),
        m.notServiceAccounts.map((x) => x.namespace === id?.namespace && x.serviceAccount === id?.serviceAccount),
      ],
    ];
    return pairs.every(([is, not]) => (is.length === 0 || is.includes(true)) && !not.includes(true));
  };
  const matches = (p: AuthorizationPolicy) =>
    p.groups.some((g) => g.rules.every((r) => r.matches.length === 0 || r.matches.some((m) => holdsFor(m, p.action))));
  const real = all.filter((p) => !p.dryRun);
  if (real.some((p) => p.action === 'DENY' && matches(p))) return 'deny';
  if (missing.length > 0 && !compat.has('missing-policy')) return 'deny';
  const allows = real.filter((p) => p.action === 'ALLOW');
  return allows.length === 0 || allows.some(matches) ? 'allow' : 'deny';
}

const words = fc.constantFrom('a', 'b', 'td/ns/a/sa/b', 'spiffe://td/ns/a/sa/b', 'td/', 'spiffe://td', 'sa/a', '');
const ports = fc.constantFrom(80, 8080);
const parts = { text: words, ip: fewIps, port: ports };
const connections: fc.Arbitrary<L4Connection> = fc.record({
  source: fewIps,
  identity: fc.option(
    fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('a', 'b')).map(([ns, sa]) => identity(ns, sa, 'td')),
    { nil: undefined },
  ),
  destination: fc.record({ ip: fewIps, port: ports.map(port) }),
});

test('a single match holds as the obvious evaluator says', () => {
  let held = 0;
  fc.assert(
    fc.property(connections, policyMatches(parts), (c, m) => {
      const governing = { policies: [policy({ groups: groups(m) })], missing: [] };
      const { kind } = authorize(c, governing, ours);
      if (kind === 'allow') held++;
      assert.equal(kind, obviously(c, governing, ours));
    }),
    { numRuns: 5_000 },
  );
  assert.ok(held > 500, `only ${held} of 5,000 held`);
});

test('decides as the obvious evaluator does', () => {
  const list = fc.array(policies(parts), { maxLength: 3 });
  const missing = fc.array(fc.constant('a/late'), { maxLength: 1 });
  const compat = fc.subarray([...compatCases]).map((c) => new Set(c));
  const seen = new Set<string>();
  fc.assert(
    fc.property(connections, list, missing, compat, (c, all, late, cases) => {
      const governing = { policies: all, missing: late };
      const decision = authorize(c, governing, cases);
      seen.add(`${decision.kind} ${decision.by.kind}`);
      assert.equal(decision.kind, obviously(c, governing, cases));
      assert.ok(explain(c, governing, cases).length >= 2);
    }),
    { numRuns: 2_000 },
  );
  assert.deepEqual([...seen].sort(), [
    'allow no-allow-policy',
    'allow rule',
    'deny missing-policy',
    'deny not-allowed',
    'deny rule',
  ]);
});
