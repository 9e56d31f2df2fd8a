/**
 * "0 mutants that open what was closed", from the object to the decision at a node proxy: policies and pods are changed in one place,
 * istiod's changes go to a proxy's store step by step, and whatever is let in must be let in by the policies as they are written now. Those
 * are read here a second time, from YAML and by a judge of its own that is lax where it is not sure.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { addressTypeUrl, authorizationTypeUrl, decodeAddress, decodeAuthorization } from '../../common/api/index.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import { MeshStore } from '../../common/mesh/store.ts';
import type { Identity } from '../../common/mesh/types.ts';
import { mutantsOf } from '../../istiod/model/testing/mutants.ts';
import { objectsOf } from '../../istiod/model/testing/test-mesh.ts';
import { policyDenial } from '../../ztunnel/proxy/decide-inbound.ts';
import { KeptMesh } from './kept-mesh.ts';
import { type Attribute, isLike, isWithin, type Loose, listOf, policyVerdict, verdictOf } from './second-reading.ts';

const pod = (name: string, ip: string) => `
kind: Pod
metadata: {name: ${name}, labels: {app: ${name}, tier: back}, annotations: {ambient.istio.io/redirection: enabled}}
spec: {nodeName: n1, serviceAccountName: ${name}, containers: [{name: c}]}
status: {phase: Running, podIPs: [{ip: ${ip}}], conditions: [{type: Ready, status: "True"}]}
`;
const policy = (name: string, spec: string, namespace = 'shop') => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ${name}, namespace: ${namespace}}
spec: ${spec}
`;
const mesh = objectsOf(
  [
    '{kind: Namespace, metadata: {name: shop}}',
    pod('web', '10.0.0.1'),
    pod('db', '10.0.0.2'),
    policy(
      'clients',
      '{selector: {matchLabels: {app: web}}, action: ALLOW, rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/client], notNamespaces: [bad]}}], to: [{operation: {ports: ["8080"], notPorts: ["9090"]}}]}]}',
    ),
    policy(
      'back',
      '{selector: {matchLabels: {tier: back}}, action: DENY, rules: [{from: [{source: {namespaces: [bad]}}, {source: {ipBlocks: [192.0.2.0/24]}}], when: [{key: destination.port, values: ["8080", "9090"]}]}]}',
    ),
    policy('nothing', '{}'),
    policy(
      'all',
      '{action: DENY, rules: [{from: [{source: {notPrincipals: ["*"]}}], to: [{operation: {ports: ["22"]}}]}]}',
      'istio-system',
    ),
    `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec: {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}, portLevelMtls: {9090: {mode: PERMISSIVE}}}`,
    `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: shop}
spec: {mtls: {mode: STRICT}}`,
  ].join('\n---\n'),
);
const likely = [
  'ALLOW',
  'DENY',
  'AUDIT',
  '*',
  'bad',
  'shop',
  'client',
  'cluster.local/*',
  '*/sa/client',
  '8080',
  '9090',
  'web',
  'db',
  'back',
  'PERMISSIVE',
  'STRICT',
  'DISABLE',
  'UNSET',
  '0.0.0.0/0',
  '192.0.2.7',
  'source.principal',
  'source.namespace',
  'source.ip',
  'request.headers[x]',
  ['*'],
  ['8080'],
  { matchLabels: {} },
  [{}],
  {},
  [],
];

interface Call {
  readonly to: string;
  readonly port: number;
  readonly source: string;
  readonly identity: Identity | undefined;
}
const account = (namespace: string, serviceAccount: string) => ({
  trustDomain: 'cluster.local',
  namespace,
  serviceAccount,
});
const calls: readonly Call[] = ['web', 'db'].flatMap((to) =>
  [8080, 9090, 22].flatMap((port) =>
    [account('shop', 'client'), account('shop', 'other'), account('bad', 'client'), undefined].flatMap((identity) =>
      ['10.0.0.9', '192.0.2.7'].map((source) => ({ to, port, source, identity })),
    ),
  ),
);

/** istiod's model, and what one node proxy has been told of it. */
class World extends KeptMesh {
  readonly store = new MeshStore();

  /** Tells the proxy an object's results at a time, and calls back after each. */
  tell(afterEach: () => void): void {
    for (const _ of this.index.compute());
    do {
      const change = this.index.publish(1);
      if (change === undefined) continue;
      const { catalog } = this.index;
      const policiesOf = (names: readonly string[]) =>
        names.flatMap((n) => {
          const decoded = decodeAuthorization(catalog.find(authorizationTypeUrl, n)?.bytes ?? Buffer.alloc(0));
          return catalog.find(authorizationTypeUrl, n) === undefined || decoded.kind === 'rejected'
            ? []
            : [decoded.value];
        });
      const policies = policiesOf([...change.authorizations].filter((n) => !change.narrowed.has(n)));
      this.store.apply({ policies });
      afterEach();
      const resource = (n: string) => catalog.resources(addressTypeUrl).get(n);
      const addresses = [...change.addresses].flatMap((n) => {
        const decoded = resource(n) && decodeAddress(resource(n)!.bytes);
        return decoded === undefined || decoded.kind === 'rejected' ? [] : [decoded.value];
      });
      this.store.apply({ addresses, removedAddresses: [...change.addresses].filter((n) => resource(n) === undefined) });
      afterEach();
      const removedPolicies = [...change.authorizations].filter(
        (n) => catalog.find(authorizationTypeUrl, n) === undefined,
      );
      this.store.apply({ removedPolicies, policies: policiesOf([...change.narrowed]) });
      afterEach();
    } while (this.index.isStaged);
  }

  lets({ to, port, source, identity }: Call): boolean {
    const local = this.store.workload(`c//Pod/shop/${to}`);
    const [ip] = local?.addresses ?? [];
    if (local === undefined || ip === undefined) return false;
    const question = {
      local,
      source: source as typeof ip,
      identity,
      ownPorts: new Set<number>(),
      compat: new Set<never>(),
    };
    return policyDenial(this.store, question, { ip, port: port as never }) === undefined;
  }
}

/** Attributes that a node proxy sees; unknown are what only requests say, and addresses of pods. */
const fields: Readonly<Record<string, Attribute<Call>>> = {
  principals: (v, c) =>
    verdictOf(
      isLike(v, c.identity && `${c.identity.trustDomain}/ns/${c.identity.namespace}/sa/${c.identity.serviceAccount}`),
    ),
  namespaces: (v, c) => verdictOf(isLike(v, c.identity?.namespace)),
  serviceAccounts: (v, c) => verdictOf(String(v).split('/').at(-1) === c.identity?.serviceAccount),
  ipBlocks: (v, c) => verdictOf(isWithin(v, c.source)),
  ports: (v, c) => verdictOf(Number(v) === c.port),
};
const conditions: Readonly<Record<string, keyof typeof fields>> = {
  'source.principal': 'principals',
  'source.namespace': 'namespaces',
  'source.serviceAccount': 'serviceAccounts',
  'source.ip': 'ipBlocks',
  'destination.port': 'ports',
};
const attributes = { fields, condition: (key: string) => fields[conditions[key] ?? ''] };

/** Whether the policies as they are written let the call in, or may. */
function mayPass(objects: ReadonlyMap<string, KubeObject>, c: Call): boolean {
  const all = [...objects.values()] as readonly Loose[];
  const labels = all.find((o) => o.kind === 'Pod' && o.metadata.name === c.to)?.metadata.labels ?? {};
  const holdsFor = (o: Loose, selector: Loose) =>
    (o.metadata.namespace === 'shop' || o.metadata.namespace === 'istio-system') &&
    Object.entries(selector?.matchLabels ?? {}).every(([k, v]) => labels[k] === v);
  const policies = all.filter(
    (o) =>
      o.kind === 'AuthorizationPolicy' &&
      holdsFor(o, o.spec?.selector) &&
      o.spec?.targetRef === undefined &&
      listOf(o.spec?.targetRefs).length === 0,
  );
  const verdicts = (action: string) =>
    policies.filter((o) => (o.spec?.action ?? 'ALLOW') === action).map((o) => policyVerdict(o, c, attributes));
  if (verdicts('DENY').includes('yes')) return false;
  const allows = verdicts('ALLOW');
  // What only requests say never holds at a node proxy, so it lets nobody in.
  if (allows.length > 0 && !allows.includes('yes')) return false;
  return c.identity !== undefined || !isStrict(all, holdsFor, c.port);
}

/** A workload's own PeerAuthentication, its namespace's, the mesh's: the first that says something. */
function isStrict(all: readonly Loose[], holdsFor: (o: Loose, selector: Loose) => boolean, port: number): boolean {
  const modes = all
    .filter((o) => o.kind === 'PeerAuthentication' && holdsFor(o, o.spec?.selector))
    .map((o) => {
      const own = Object.keys(o.spec?.selector?.matchLabels ?? {}).length > 0;
      const said = [own ? o.spec?.portLevelMtls?.[port]?.mode : undefined, o.spec?.mtls?.mode];
      const rank = own ? 0 : o.metadata.namespace === 'shop' ? 1 : 2;
      return { rank, mode: said.find((m) => m !== undefined && m !== 'UNSET') };
    })
    .sort((a, b) => a.rank - b.rank);
  return modes.find((m) => m.mode !== undefined)?.mode === 'STRICT';
}

test('the judge agrees with the proxy about the mesh as it is', () => {
  const w = new World();
  for (const object of mesh) w.put(object);
  w.tell(() => undefined);
  const open = calls.filter((c) => w.lets(c));
  assert.deepEqual(
    open,
    calls.filter((c) => mayPass(w.objects, c)),
  );
  assert.ok(open.length > 0 && open.length < calls.length / 2, String(open.length));
});

/** As an API server keeps it. */
function isStored({ metadata }: KubeObject): boolean {
  return [metadata.labels, metadata.annotations].every(
    (texts) =>
      texts === undefined ||
      (typeof texts === 'object' &&
        texts !== null &&
        !Array.isArray(texts) &&
        Object.values(texts).every((t) => typeof t === 'string')),
  );
}

const parts: Readonly<Record<string, readonly string[]>> = { Pod: ['metadata', 'spec', 'status'] };

for (const object of mesh.filter((o) => o.kind !== 'Namespace')) {
  const name = `${object.kind} ${object.metadata.name}`;
  test(`no mutant of ${name} opens what no policy opens, not even on the way`, () => {
    const w = new World();
    for (const o of mesh) w.put(o);
    w.tell(() => undefined);
    const wanted = parts[object.kind] ?? ['spec'];
    const mutants = mutantsOf(object, wanted, likely).filter(
      (m) =>
        m.metadata?.name === object.metadata.name && m.metadata.namespace === object.metadata.namespace && isStored(m),
    );
    let opened = 0;
    let last = object;
    const step = (mutant: KubeObject) => {
      const says = (c: Call) => `${JSON.stringify(mutant)} after ${JSON.stringify(last)} lets in ${JSON.stringify(c)}`;
      const before = new Map(w.objects);
      w.put(mutant);
      w.tell(() => {
        for (const c of calls) {
          const isOpen = w.lets(c);
          const [was, is] = [mayPass(before, c), mayPass(w.objects, c)];
          if (isOpen && !was) opened++;
          assert.ok(!isOpen || was || is, says(c));
        }
      });
      for (const c of calls) assert.ok(!w.lets(c) || mayPass(w.objects, c), says(c));
      last = mutant;
    };
    fc.assert(
      fc.property(mutants, (mutant) => {
        step(mutant);
        step(object);
      }),
      {
        endOnFailure: true,
        numRuns: process.env['TEST_LONG'] === '1' ? 10_000 : 150,
        ...(process.env['FC_SEED'] && { seed: Number(process.env['FC_SEED']) }),
      },
    );
    // Mutants of this one do open something, by what they say.
    if (object.metadata.name === 'clients') assert.ok(opened > 0);
  });
}
