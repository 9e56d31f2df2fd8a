import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ip, port, service, workload } from '../../common/testing/builders.ts';
import type { ConnectionRecord } from '../proxy/account.ts';
import { decodeUnit, encodeUnit } from './codec.ts';
import type { MovedRelay, MovedTunnel, Unit } from './unit.ts';

/** A field that may be absent. */
const some = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(fields, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>;

const label = fc.stringMatching(/^[a-z0-9-]{1,12}$/);
const ips = fc.constantFrom(ip('10.0.0.1'), ip('::1'), ip('2001:db8::7'));
const addresses = fc.record({ ip: ips, port: fc.integer({ min: 1, max: 65_535 }).map(port) });
const identities = fc.record({ trustDomain: label, namespace: label, serviceAccount: label });
const workloads = fc.constantFrom(workload({ name: 'a' }), workload({ name: 'b', addresses: [ip('10.0.0.2')] }));
const services = fc.constantFrom(service({ name: 'echo' }), service({ name: 'shop' }));
const baggage = some({
  clusterId: label,
  namespace: label,
  workloadType: fc.constantFrom('deployment' as const, 'job' as const),
  workloadName: fc.string({ maxLength: 50 }),
  zone: label,
});

const records: fc.Arbitrary<ConnectionRecord> = fc
  .tuple(
    fc.record({
      direction: fc.constantFrom('inbound' as const, 'outbound' as const),
      sourceAddress: addresses,
      destinationAddress: addresses,
      mtls: fc.boolean(),
    }),
    some<Partial<ConnectionRecord>>({
      originalDestination: addresses,
      hboneAddress: fc.string(),
      source: workloads,
      sourceBaggage: baggage,
      sourceIdentity: identities,
      destination: workloads,
      destinationBaggage: baggage,
      destinationIdentity: identities,
      service: services,
      traceId: fc.stringMatching(/^[0-9a-f]{32}$/),
    }),
  )
  .map(([must, may]) => ({ ...must, ...may }));

const amount = fc.maxSafeNat();
const relays: fc.Arbitrary<MovedRelay> = fc.record({
  tag: fc.stringMatching(/^-?[0-9]{1,9}\|[0-9]{1,9}$/),
  record: records,
  elapsedMs: fc.double({ min: 0, max: 1e12, noNaN: true }).map((n) => n + 0),
  received: amount,
  sent: amount,
  inbound: fc.option(fc.record({ source: ips, target: addresses }), { nil: undefined }),
});
const tunnels: fc.Arbitrary<MovedTunnel> = fc.record({
  role: fc.constantFrom('client' as const, 'server' as const),
  remote: label,
  chain: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
});
const units: fc.Arbitrary<Unit> = fc.record({
  pod: fc.record({ uid: fc.uuid(), netns: fc.string({ maxLength: 30 }) }),
  tunnel: fc.option(tunnels, { nil: undefined }),
  relays: fc.array(relays, { maxLength: 5 }),
});

/** Fields that are undefined and fields that are absent are the same. */
const plain = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value, (_, v: unknown) =>
      v instanceof Map ? [...v] : v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v,
    ),
  ) as unknown;

test('what is read is what was written, with the same objects for what connections share', () => {
  fc.assert(
    fc.property(units, (unit) => {
      const read = decodeUnit(encodeUnit(unit));
      assert.deepEqual(plain(read), plain(unit));
    }),
  );
  const shared = workload({ name: 'shared' });
  const [first] = fc.sample(relays, { numRuns: 1, seed: 7 });
  const relay = { ...first!, record: { ...first!.record, source: shared, destination: shared } };
  const unit = { pod: { uid: 'u', netns: 'n' }, tunnel: undefined, relays: [relay, relay] };
  const read = decodeUnit(encodeUnit(unit)).relays;
  assert.equal(read[0]!.record.source, read[1]!.record.destination);
  assert.deepEqual(read[0]!.record.source, shared);
});

/** Every place of a JSON value where something else could be. */
function* places(value: unknown, path: readonly (string | number)[] = []): Generator<readonly (string | number)[]> {
  if (path.length > 0) yield path;
  if (typeof value !== 'object' || value === null) return;
  for (const key of Object.keys(value)) yield* places((value as Record<string, unknown>)[key], [...path, key]);
}

function put(value: unknown, [key, ...rest]: readonly (string | number)[], to: unknown): void {
  const at = value as Record<string | number, unknown>;
  if (rest.length > 0) put(at[key!], rest, to);
  else at[key!] = to;
}

test('a value of another kind anywhere throws, and the message names the field', () => {
  const junk = fc.constantFrom<unknown>(null, { no: 1 }, [[]], -1, 'junk?\u0000', 1e300);
  fc.assert(
    fc.property(units, fc.nat(), junk, (unit, pick, to) => {
      const value = JSON.parse(encodeUnit(unit)) as Record<string, unknown>;
      const all = [...places(value)];
      const path = all[pick % all.length]!;
      put(value, path, to);
      try {
        decodeUnit(JSON.stringify(value));
      } catch (e) {
        assert.match((e as Error).message, new RegExp(`unit\\.${path[0]}`));
        return;
      }
      // Free texts and durations may be the junk, too.
      assert.ok(typeof to === 'string' || typeof to === 'number', `${path.join('.')} may not be ${JSON.stringify(to)}`);
    }),
  );
});

test('a field that is missing, unknown, or cut off throws', () => {
  const [unit] = fc.sample(units, { numRuns: 1, seed: 1 });
  const encoded = encodeUnit(unit!);
  const value = JSON.parse(encoded) as Record<string, unknown>;
  assert.throws(() => decodeUnit(JSON.stringify({ ...value, more: 1 })), /unit\.more is not a field/);
  assert.throws(() => decodeUnit(JSON.stringify({ ...value, pod: undefined })), /unit\.pod is not an object/);
  assert.throws(() => decodeUnit(JSON.stringify({ ...value, version: 2 })), /unit\.version is 2, this version reads 1/);
  for (let i = 0; i < encoded.length; i += 7) assert.throws(() => decodeUnit(encoded.slice(0, i)));
  assert.throws(() => decodeUnit('null'), /unit\.version/);
});

test('the index of a workload is none of a service', () => {
  const relay = fc.sample(relays, { numRuns: 1, seed: 3 })[0]!;
  const { record } = relay;
  const unit: Unit = {
    pod: { uid: 'u', netns: 'n' },
    tunnel: undefined,
    relays: [{ ...relay, record: { ...record, source: workload(), service: service() } }],
  };
  const value = JSON.parse(encodeUnit(unit)) as { relays: { record: Record<string, number> }[] };
  const fields = value.relays[0]!.record;
  [fields['source'], fields['service']] = [fields['service']!, fields['source']!];
  assert.throws(() => decodeUnit(JSON.stringify(value)), /relays\[0\]\.record\.source is not the index of a workload/);
});
