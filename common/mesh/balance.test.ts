import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ip, service, waypoint, workload } from '../testing/builders.ts';
import { balance } from './balance.ts';
import type { Endpoint } from './store.ts';
import type { LoadBalancing, PortMapping, Workload } from './types.ts';

const first = () => 0;
const source = workload({
  name: 'client',
  node: 'n1',
  locality: { region: 'r1', zone: 'z1', subzone: 's1' },
});

function endpoint(name: string, over: Partial<Omit<Workload, 'kind'>> = {}, ports?: readonly PortMapping[]): Endpoint {
  return {
    workload: workload({ name, addresses: [ip('10.0.0.1')], node: 'n9', ...over }),
    ports: ports ?? [{ servicePort: 80, targetPort: 8080 }],
  };
}

/** Names of all endpoints that some random number chooses. */
function choices(loadBalancing: LoadBalancing | undefined, endpoints: readonly Endpoint[]): string[] {
  const s = service(loadBalancing && { loadBalancing });
  const names = new Set<string>();
  for (let i = 0; i < 100; i++) {
    const b = balance(s, endpoints, 80, source, () => i / 100);
    if (b.kind === 'chosen') names.add(b.workload.name);
  }
  return [...names].sort();
}

function lb(mode: LoadBalancing['mode'], ...routingPreference: LoadBalancing['routingPreference']): LoadBalancing {
  return { mode, routingPreference, healthPolicy: 'ONLY_HEALTHY' };
}

const sameNode = endpoint('same-node', { node: 'n1', locality: source.locality });
const sameZone = endpoint('same-zone', { locality: { region: 'r1', zone: 'z1', subzone: 's2' } });
const sameRegion = endpoint('same-region', { locality: { region: 'r1', zone: 'z2', subzone: 's1' } });
const elsewhere = endpoint('elsewhere', { locality: { region: 'r2', zone: 'z1', subzone: 's1' } });
const otherNetwork = endpoint('other-network', { network: 'net-2', locality: source.locality, node: 'n1' });
const all = [sameNode, sameZone, sameRegion, elsewhere, otherNetwork];

test('modes and preferences', () => {
  const everyone = ['elsewhere', 'other-network', 'same-node', 'same-region', 'same-zone'];
  const near = all.filter((e) => e !== otherNetwork);
  assert.deepEqual(choices(undefined, all), everyone);
  assert.deepEqual(choices(lb('UNSPECIFIED_MODE', 'NODE'), all), everyone);
  assert.deepEqual(choices(lb('STRICT', 'NODE'), near), ['same-node']);
  assert.deepEqual(choices(lb('STRICT', 'REGION', 'ZONE'), near), ['same-node', 'same-zone']);
  assert.deepEqual(choices(lb('STRICT', 'NODE'), [sameZone, elsewhere]), [], 'strict has no second choice');
  assert.deepEqual(choices(lb('FAILOVER', 'REGION', 'ZONE'), near), ['same-node', 'same-zone']);
  assert.deepEqual(choices(lb('FAILOVER', 'REGION', 'ZONE'), [sameRegion, elsewhere]), ['same-region']);
  assert.deepEqual(
    choices(lb('FAILOVER', 'REGION', 'ZONE'), [elsewhere]),
    ['elsewhere'],
    'zone without region counts nothing',
  );
  assert.deepEqual(choices(lb('FAILOVER', 'NODE', 'REGION'), [sameZone, elsewhere]), ['elsewhere', 'same-zone']);
  assert.deepEqual(choices(lb('FAILOVER'), near), near.map((e) => e.workload.name).sort());
  assert.deepEqual(choices(lb('FAILOVER', 'CLUSTER'), [endpoint('c2', { clusterId: 'c2' }), sameZone]), ['same-zone']);
  assert.deepEqual(choices(lb('FAILOVER', 'SUBZONE'), [sameZone, sameNode]), ['same-node']);
});

test('with NETWORK first, the own network wins whatever else matches, and others are ranked by the rest', () => {
  const preferences = lb('FAILOVER', 'NETWORK', 'REGION', 'ZONE');
  assert.deepEqual(choices(preferences, all), ['same-node', 'same-zone']);
  assert.deepEqual(choices(preferences, [elsewhere, otherNetwork]), ['elsewhere']);
  const farAway = endpoint('far', { network: 'net-2', locality: { region: 'r2', zone: 'z9', subzone: '' } });
  assert.deepEqual(choices(preferences, [farAway, otherNetwork]), ['other-network']);
  assert.deepEqual(choices(lb('FAILOVER', 'REGION', 'NETWORK'), [otherNetwork, sameZone]), ['same-zone']);
});

test('where no locality is known, everything is near', () => {
  const unknown = endpoint('unknown');
  const s = service({ loadBalancing: lb('STRICT', 'REGION', 'ZONE', 'SUBZONE') });
  assert.equal(balance(s, [unknown], 80, workload({ node: 'n1' }), first).kind, 'chosen');
});

test('target ports: own mapping, service mapping, named, tunnel', () => {
  const named = service({ ports: [{ servicePort: 80, targetPort: 0 }] });
  const plain = service({ ports: [{ servicePort: 80, targetPort: 8080 }] });
  const port = (s: typeof named, e: Endpoint) => {
    const b = balance(s, [e], 80, source, first);
    return b.kind === 'chosen' ? b.targetPort : undefined;
  };
  assert.equal(port(plain, endpoint('e', {}, [{ servicePort: 80, targetPort: 9999 }])), 9999);
  assert.equal(port(plain, endpoint('e', {}, [])), 8080);
  assert.equal(port(named, endpoint('e', {}, [{ servicePort: 80, targetPort: 7777 }])), 7777);
  assert.equal(port(named, endpoint('e', {}, [])), undefined);
  assert.equal(port(named, endpoint('e', {}, [{ servicePort: 81, targetPort: 7777 }])), undefined);
  const tunnel = { applicationTunnel: { protocol: 'PROXY' as const, port: 15_088 } };
  assert.equal(port(named, endpoint('e', tunnel, [])), 80);
  assert.equal(port(named, endpoint('e', { applicationTunnel: { protocol: 'NONE', port: 0 } }, [])), undefined);
});

test('an unknown port says so', () => {
  const b = balance(service(), [endpoint('e')], 81, source, first);
  assert.match(b.kind === 'none' ? b.reason : '', /default\/svc\.default\.svc\.cluster\.local has no port 81/);
});

test('endpoints that cannot be reached are not chosen', () => {
  const nowhere = endpoint('nowhere', { addresses: [] });
  const byName = endpoint('by-name', { addresses: [], hostname: 'db.example' });
  const gateway = { addresses: [], networkGateway: waypoint('a/gw') };
  const behind = endpoint('behind', { ...gateway, network: 'net-2' });
  const here = endpoint('here', gateway);
  const lost = endpoint('lost', { addresses: [], network: 'net-2' });
  assert.deepEqual(choices(undefined, [nowhere, byName, behind, here, lost]), ['behind', 'by-name']);
});

test('capacity 0 is never chosen, and does not hide what is less near', () => {
  const off = endpoint('off', { capacity: 0, node: 'n1' });
  assert.deepEqual(choices(lb('FAILOVER', 'NODE'), [off, elsewhere]), ['elsewhere']);
  assert.equal(balance(service(), [off], 80, source, first).kind, 'none');
});

test('chooses in proportion to capacity', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 5 }), { minLength: 1, maxLength: 6 }), (capacities) => {
      const endpoints = capacities.map((capacity, i) => endpoint(`${i}`, { capacity }));
      const total = capacities.reduce((a, b) => a + b, 0);
      const hits = capacities.map(() => 0);
      for (let i = 0; i < total; i++) {
        const b = balance(service(), endpoints, 80, source, () => (i + 0.5) / total);
        if (b.kind === 'chosen') hits[Number(b.workload.name)]!++;
      }
      assert.deepEqual(hits, capacities);
    }),
  );
});

/**
 * ambient-wire 2.6, word by word: "rank = number of leading preferences matched (stop at first mismatch); keep the top rank.
 * Special: if the first preference is NETWORK, a non-local-network endpoint skips that item and is ranked on the remaining
 * ones, and a local-network endpoint gets +(n-1)".
 */
function naiveCandidates({ mode, routingPreference: wanted }: LoadBalancing, endpoints: readonly Endpoint[]): string[] {
  const same = (scope: string, w: Workload): boolean => {
    if (scope === 'REGION') return w.locality.region === source.locality.region;
    if (scope === 'ZONE') return w.locality.zone === source.locality.zone;
    if (scope === 'SUBZONE') return w.locality.subzone === source.locality.subzone;
    if (scope === 'NODE') return w.node === source.node;
    if (scope === 'CLUSTER') return w.clusterId === source.clusterId;
    return w.network === source.network;
  };
  const usable = endpoints.map((e) => e.workload).filter((w) => w.capacity > 0);
  const rank = (w: Workload): number => {
    let n = 0;
    let skipped = 0;
    for (const [i, scope] of wanted.entries()) {
      if (i === 0 && scope === 'NETWORK' && w.network !== source.network) {
        skipped = 1;
        continue;
      }
      if (!same(scope, w)) break;
      n++;
    }
    return n + (wanted[0] === 'NETWORK' && skipped === 0 ? wanted.length - 1 : 0);
  };
  const top = Math.max(...usable.map(rank));
  const kept =
    mode === 'STRICT'
      ? usable.filter((w) => wanted.every((scope) => same(scope, w)))
      : mode === 'FAILOVER'
        ? usable.filter((w) => rank(w) === top)
        : usable;
  return kept.map((w) => w.name).sort();
}

test('chooses among whom a naive reading of the rules keeps', () => {
  const scopes = fc.constantFrom(...(['REGION', 'ZONE', 'SUBZONE', 'NODE', 'CLUSTER', 'NETWORK'] as const));
  const near = (value: string) => fc.constantFrom(value, 'elsewhere', '');
  const someEndpoint = fc.record({
    network: fc.constantFrom('', 'net-2'),
    node: near('n1'),
    clusterId: fc.constantFrom('Kubernetes', 'c2'),
    region: near('r1'),
    zone: near('z1'),
    subzone: near('s1'),
    capacity: fc.constantFrom(0, 1, 1, 1),
  });
  const modes = fc.constantFrom(...(['UNSPECIFIED_MODE', 'STRICT', 'FAILOVER'] as const));
  fc.assert(
    fc.property(
      modes,
      fc.array(scopes, { maxLength: 5 }),
      fc.array(someEndpoint, { maxLength: 8 }),
      (mode, wanted, made) => {
        const endpoints = made.map(({ region, zone, subzone, ...over }, i) =>
          endpoint(`e${i}`, { ...over, locality: { region, zone, subzone } }),
        );
        const preferences = lb(mode, ...wanted);
        assert.deepEqual(choices(preferences, endpoints), naiveCandidates(preferences, endpoints));
      },
    ),
    { numRuns: 500 },
  );
});

test('for a waypoint, an endpoint with an application tunnel need not have the port', () => {
  const s = service({ ports: [{ servicePort: 15_021, targetPort: 15_021 }] });
  const withTunnel = endpoint('sandwich', { applicationTunnel: { protocol: 'PROXY', port: 15_088 } }, []);
  const without = endpoint('plain', {}, []);
  const at = (endpoints: readonly Endpoint[], rule: 'strict' | 'tunnel-exempt') => {
    const b = balance(s, endpoints, 15_008, source, first, rule);
    return b.kind === 'chosen' && [b.workload.name, b.targetPort];
  };
  assert.deepEqual(at([without, withTunnel], 'tunnel-exempt'), ['sandwich', 15_008]);
  assert.equal(at([without], 'tunnel-exempt'), false);
  assert.equal(at([withTunnel], 'strict'), false);
});
