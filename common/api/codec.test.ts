import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { MeshAddress } from '../mesh/types.ts';
import { anyPolicy, anyService, anyWorkload } from '../testing/arbitraries.ts';
import { cidr, groups, ip, match, policy, service, waypoint, workload } from '../testing/builders.ts';
import {
  type Decoded,
  decodeAddress,
  decodeAuthorization,
  encodeAddress,
  encodeAuthorization,
  encodeService,
  encodeWorkload,
  maxResourceBytes,
} from './codec.ts';
import { addressMessage, authorizationMessage } from './messages.ts';

function reason(decoded: Decoded<unknown>): string {
  assert.equal(decoded.kind, 'rejected');
  return decoded.kind === 'rejected' ? decoded.reason : '';
}

function value<T>(decoded: Decoded<T>): T {
  if (decoded.kind === 'rejected') assert.fail(decoded.reason);
  return decoded.value;
}

/** -0 and list prototypes aside, what went in comes out. */
test('addresses come back as they were', () => {
  fc.assert(
    fc.property(fc.oneof(anyWorkload, anyService), (address: MeshAddress) => {
      assert.deepEqual(value(decodeAddress(encodeAddress(address))), address);
    }),
  );
});

test('policies come back as they were', () => {
  fc.assert(
    fc.property(anyPolicy, (p) => {
      assert.deepEqual(value(decodeAuthorization(encodeAuthorization(p))), p);
    }),
  );
});

test('any bytes, random or mutated, are decoded or rejected, never thrown at', () => {
  const mutated = fc
    .tuple(
      fc.oneof(
        fc.oneof(anyWorkload, anyService).map((a) => encodeAddress(a)),
        anyPolicy.map((p) => encodeAuthorization(p)),
      ),
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 8 }),
      fc.nat(),
    )
    .map(([bytes, changes, cut]) => {
      const copy = Uint8Array.from(bytes);
      for (const [at, byte] of changes) if (copy.length > 0) copy[at % copy.length] = byte;
      return cut % 3 === 0 ? copy.slice(0, cut % (copy.length + 1)) : copy;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      assert.match(decodeAddress(bytes).kind, /^(ok|rejected)$/);
      assert.match(decodeAuthorization(bytes).kind, /^(ok|rejected)$/);
    }),
    { numRuns: 500 },
  );
});

test('defaults of an empty workload', () => {
  const w = value(decodeAddress(addressMessage.encode({ workload: {} })));
  assert.equal(w.kind, 'workload');
  if (w.kind !== 'workload') return;
  assert.deepEqual(
    [w.trustDomain, w.serviceAccount, w.clusterId, w.capacity, w.tunnelProtocol, w.networkMode, w.status],
    ['cluster.local', 'default', 'Kubernetes', 1, 'NONE', 'STANDARD', 'HEALTHY'],
  );
  assert.deepEqual(w.locality, { region: '', zone: '', subzone: '' });
});

test('a capacity of 0 is not the default', () => {
  const w = value(decodeAddress(encodeWorkload(workload({ capacity: 0 }))));
  assert.equal(w.kind === 'workload' && w.capacity, 0);
});

test('the default trust domain is left out, as istiod does', () => {
  const pb = addressMessage.decode(encodeWorkload(workload()));
  assert.equal(pb.workload?.trustDomain, '');
});

test('rejections name the field', () => {
  const rejected: readonly (readonly [Parameters<typeof addressMessage.encode>[0], RegExp])[] = [
    [{}, /neither a workload nor a service/],
    [{ workload: { tunnelProtocol: 2 } }, /tunnel_protocol: LEGACY_ISTIO_MTLS/],
    [{ workload: { tunnelProtocol: 3 } }, /tunnel_protocol: value 3 is unknown/],
    [{ workload: { workloadType: 9 } }, /workload_type/],
    [{ workload: { status: 2 } }, /status/],
    [{ workload: { networkMode: 2 } }, /network_mode/],
    [{ workload: { applicationTunnel: { protocol: 2 } } }, /application_tunnel/],
    [{ workload: { addresses: [Buffer.alloc(5)] } }, /addresses: .* not 5/],
    [{ workload: { addresses: [Buffer.alloc(0)] } }, /addresses: .* not 0/],
    [{ workload: { waypoint: { hboneMtlsPort: 15_008 } } }, /waypoint: neither/],
    [{ workload: { networkGateway: { address: { address: Buffer.alloc(3) } } } }, /network_gateway: .* not 3/],
    [{ workload: { services: { 'no-slash': {} } } }, /services: key "no-slash"/],
    [{ service: { ipFamilies: 4 } }, /ip_families/],
    [{ service: { loadBalancing: { mode: 4 } } }, /load_balancing.mode/],
    [{ service: { loadBalancing: { routingPreference: [1, 0] } } }, /UNSPECIFIED_SCOPE/],
    [{ service: { loadBalancing: { routingPreference: [7] } } }, /routing_preference: value 7/],
    [{ service: { loadBalancing: { healthPolicy: 2 } } }, /health_policy/],
    [{ service: { weightedWaypoints: [{ weight: 1 }] } }, /weighted_waypoints/],
    [{ service: { addresses: [{ address: Buffer.alloc(4), length: 33 }] } }, /prefix length 33/],
  ];
  for (const [message, expected] of rejected) {
    assert.match(reason(decodeAddress(addressMessage.encode(message))), expected);
  }
});

test('an unknown visibility is public', () => {
  const s = value(decodeAddress(addressMessage.encode({ service: { visibility: 5 } })));
  assert.equal(s.kind === 'service' && s.visibility, 'PUBLIC');
});

test('ports are cut to 16 bits and the last mapping of a port counts', () => {
  const ports = [
    { servicePort: 65_536 + 80, targetPort: 65_536 + 8080 },
    { servicePort: 80, targetPort: 9090 },
  ];
  const s = value(decodeAddress(addressMessage.encode({ service: { ports } })));
  assert.deepEqual(s.kind === 'service' && s.ports, [{ servicePort: 80, targetPort: 9090 }]);
});

test('IPv4-mapped addresses become IPv4, their prefixes with them', () => {
  const mapped = Buffer.from('00000000000000000000ffff0a000001', 'hex');
  const addresses = [
    { address: mapped },
    { address: mapped, length: 128 },
    { address: mapped, length: 120 },
    { address: Buffer.from('0a000001', 'hex'), length: 32 },
  ];
  const s = value(decodeAddress(addressMessage.encode({ service: { addresses } })));
  assert.deepEqual(s.kind === 'service' && s.addresses, [
    { network: '', ip: '10.0.0.1' },
    { network: '', ip: '10.0.0.1' },
    { network: '', ip: '10.0.0.1', length: 24 },
    { network: '', ip: '10.0.0.1' },
  ]);
  const wide = addressMessage.encode({ service: { addresses: [{ address: mapped, length: 90 }] } });
  assert.match(reason(decodeAddress(wide)), /prefix length 90/);
});

test('a waypoint survives in both forms', () => {
  const s = service({
    waypoint: waypoint('infra/wp.infra.svc.cluster.local'),
    weightedWaypoints: [
      {
        waypoint: { ...waypoint('a/b'), destination: { kind: 'address', network: 'n', ip: ip('10.1.1.9') } },
        weight: 20,
      },
    ],
  });
  assert.deepEqual(value(decodeAddress(encodeService(s))), s);
});

test('what a policy leaves open is rejected, not guessed', () => {
  const base = encodeAuthorization(policy({ groups: groups(match({ sourceIps: [cidr('10.0.0.0/8')] })) }));
  assert.equal(decodeAuthorization(base).kind, 'ok');
  const withMatch = (m: object) => authorizationMessage.encode({ groups: [{ rules: [{ matches: [m] }] }] });
  const rejected: readonly (readonly [Uint8Array, RegExp])[] = [
    [authorizationMessage.encode({ scope: 3 }), /scope: value 3/],
    [authorizationMessage.encode({ action: 2 }), /action: value 2/],
    [withMatch({ principals: [{}] }), /principals: a match is none of/],
    [withMatch({ notSourceIps: [{ address: Buffer.alloc(4), length: 33 }] }), /not_source_ips: prefix length 33/],
    [withMatch({ destinationIps: [{ address: Buffer.alloc(6), length: 8 }] }), /destination_ips: .* not 6/],
  ];
  for (const [bytes, expected] of rejected) assert.match(reason(decodeAuthorization(bytes)), expected);
});

test('decoding is bounded in size and depth', () => {
  assert.match(reason(decodeAddress(Buffer.alloc(maxResourceBytes + 1))), /bytes are more than/);
  // An unknown field of nested groups, 10,000 deep.
  const nested = Buffer.concat([Buffer.alloc(10_000, 0x3b), Buffer.alloc(10_000, 0x3c)]);
  assert.match(reason(decodeAddress(nested)), /not a valid protobuf message/);
});

test('field numbers are those of ambient-wire 3.2 and 3.3', () => {
  const address = Buffer.from([10, 0, 0, 1]);
  const numbers = (bytes: Buffer) => {
    // Address holds one message; its content starts after tag and length.
    let at = 0;
    const varint = () => {
      let result = 0;
      for (let shift = 0; ; shift += 7) {
        const byte = bytes[at++]!;
        result |= (byte & 0x7f) << shift;
        if (byte < 0x80) return result;
      }
    };
    const outer = varint() >> 3;
    varint();
    return [outer, varint() >> 3];
  };
  const workloadFields = {
    name: 'x',
    namespace: 'x',
    addresses: [address],
    network: 'x',
    tunnelProtocol: 1,
    trustDomain: 'x',
    serviceAccount: 'x',
    waypoint: {},
    node: 'x',
    canonicalName: 'x',
    canonicalRevision: 'x',
    workloadType: 1,
    workloadName: 'x',
    nativeTunnel: true,
    authorizationPolicies: ['x'],
    status: 1,
    clusterId: 'x',
    networkGateway: {},
    uid: 'x',
    hostname: 'x',
    services: { 'a/b': {} },
    applicationTunnel: {},
    locality: {},
    networkMode: 1,
    capacity: {},
  } as const;
  const workloadNumbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27];
  assert.deepEqual(
    Object.entries(workloadFields).map(([k, v]) => numbers(addressMessage.encode({ workload: { [k]: v } }))),
    workloadNumbers.map((n) => [1, n]),
  );
  const serviceFields = {
    name: 'x',
    namespace: 'x',
    hostname: 'x',
    addresses: [{}],
    ports: [{}],
    subjectAltNames: ['x'],
    waypoint: {},
    loadBalancing: {},
    ipFamilies: 1,
    canonical: true,
    weightedWaypoints: [{}],
    visibility: 1,
  } as const;
  const serviceNumbers = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 14];
  assert.deepEqual(
    Object.entries(serviceFields).map(([k, v]) => numbers(addressMessage.encode({ service: { [k]: v } }))),
    serviceNumbers.map((n) => [2, n]),
  );
  const policyFields = { name: 'x', namespace: 'x', scope: 1, action: 1, groups: [{}], dryRun: true } as const;
  assert.deepEqual(
    Object.entries(policyFields).map(([k, v]) => authorizationMessage.encode({ [k]: v })[0]! >> 3),
    [1, 2, 3, 4, 5, 6],
  );
  const matchFields = {
    namespaces: [{}],
    notNamespaces: [{}],
    principals: [{}],
    notPrincipals: [{}],
    sourceIps: [{}],
    notSourceIps: [{}],
    destinationIps: [{}],
    notDestinationIps: [{}],
    destinationPorts: [1],
    notDestinationPorts: [1],
    serviceAccounts: [{}],
    notServiceAccounts: [{}],
  } as const;
  // Authorization.groups, Group.rules, Rules.matches, each a tag and a length.
  const matchNumber = (m: object) => authorizationMessage.encode({ groups: [{ rules: [{ matches: [m] }] }] })[6]! >> 3;
  assert.deepEqual(
    Object.entries(matchFields).map(([k, v]) => matchNumber({ [k]: v })),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  );
});
