import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { decodeEnvoy, encodeEnvoy, type Typed, typeUrl } from './codec.ts';
import { envoyMessage } from './protos.ts';

const listenerType = typeUrl('envoy.config.listener.v3.Listener');
const managerType = typeUrl('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager');
const routerType = typeUrl('envoy.extensions.filters.http.router.v3.Router');

const listener = {
  '@type': listenerType,
  name: 'main_internal',
  internal_listener: {},
  traffic_direction: 'OUTBOUND',
  filter_chains: [
    {
      name: 'inbound-vip|80|http|web.shop.svc.cluster.local',
      filters: [
        {
          name: 'envoy.filters.network.http_connection_manager',
          typed_config: {
            '@type': managerType,
            stat_prefix: 'web',
            http_filters: [{ name: 'envoy.filters.http.router', typed_config: { '@type': routerType } }],
          },
        },
      ],
    },
  ],
};

function reason(bytes: Uint8Array, type = listenerType): string {
  const decoded = decodeEnvoy(type, bytes);
  assert.equal(decoded.kind, 'rejected');
  return decoded.kind === 'rejected' ? decoded.reason : '';
}

describe("Envoy's resources", () => {
  test('come back as they were, with what their extensions hold', () => {
    assert.deepEqual(decodeEnvoy(listenerType, encodeEnvoy(listener)), { kind: 'ok', value: listener });
  });

  test('numbers of 64 bits are numbers', () => {
    const cluster = {
      '@type': typeUrl('envoy.config.cluster.v3.Cluster'),
      name: 'web',
      connect_timeout: { seconds: 3 },
      maglev_lb_config: { table_size: { value: 65_537 } },
    };
    assert.deepEqual(decodeEnvoy(cluster['@type'], encodeEnvoy(cluster)), { kind: 'ok', value: cluster });
  });

  test('a field that the type has not is not left out silently, however deep', () => {
    assert.throws(
      () => encodeEnvoy({ ...listener, nmae: 'x' } as Typed),
      /Listener\.nmae: .*Listener has no such field/,
    );
    const wrong = structuredClone(listener);
    Object.assign(wrong.filter_chains[0]!.filters[0]!.typed_config.http_filters[0]!.typed_config, { retires: 1 });
    assert.throws(
      () => encodeEnvoy(wrong),
      /typed_config\.retires: envoy\.extensions\.filters\.http\.router\.v3\.Router has no/,
    );
    assert.throws(
      () => encodeEnvoy({ ...listener, traffic_direction: 'UP' } as Typed),
      /traffic_direction: UP is no TrafficDirection/,
    );
    assert.throws(() => encodeEnvoy({ '@type': typeUrl('envoy.Nothing') }), /no message of Envoy's API/);
  });

  test('a field of a newer API is rejected by its number and place', () => {
    const type = envoyMessage('envoy.config.core.v3.SocketAddress')!;
    const newer = Buffer.concat([type.encode({ address: '127.0.0.1' }).finish(), Buffer.from([0xf8, 0x3f, 1])]);
    assert.match(
      reason(newer, typeUrl('envoy.config.core.v3.SocketAddress')),
      /SocketAddress: field 1023 of envoy\.config/,
    );
  });

  test('an extension that is not known keeps its bytes', () => {
    const type = envoyMessage('envoy.config.core.v3.TypedExtensionConfig')!;
    const any = { type_url: typeUrl('istio.Other'), value: Buffer.from('abc') };
    const decoded = decodeEnvoy(
      typeUrl('envoy.config.core.v3.TypedExtensionConfig'),
      type.encode({ name: 'x', typed_config: any }).finish(),
    );
    assert.ok(decoded.kind === 'ok');
    assert.deepEqual(decoded.value['typed_config'], { '@type': any.type_url, value: any.value });
  });

  test('rules nested too deep are rejected', () => {
    let rule: object = { any: true };
    for (let i = 0; i < 60; i++) rule = { not_rule: rule };
    const url = typeUrl('envoy.config.rbac.v3.Permission');
    assert.equal(decodeEnvoy(url, encodeEnvoy({ '@type': url, ...rule })).kind, 'ok');
    for (let i = 0; i < 60; i++) rule = { not_rule: rule };
    assert.throws(() => encodeEnvoy({ '@type': url, ...rule }), /deeper than 100/);
    const type = envoyMessage('envoy.config.rbac.v3.Permission')!;
    let bytes = type.encode({ any: true }).finish();
    // not_rule is field 8.
    for (let i = 0; i < 300; i++) bytes = Buffer.concat([Buffer.from([0x42]), varint(bytes.length), bytes]);
    assert.match(reason(bytes, url), /depth|deeper/);
  });

  test('any bytes, random or mutated, are decoded or rejected, never thrown at', () => {
    const good = encodeEnvoy(listener);
    const mutated = fc
      .tuple(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 6 }), fc.nat(good.length))
      .map(([changes, cut]) => {
        const copy = Buffer.from(good);
        for (const [at, byte] of changes) copy[at] = byte;
        return cut % 4 === 0 ? copy.subarray(0, cut) : copy;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        const decoded = decodeEnvoy(listenerType, bytes);
        if (decoded.kind === 'rejected') assert.ok(decoded.reason.length > 0);
      }),
      { numRuns: 2_000 },
    );
  });
});

function varint(n: number): Buffer {
  const out: number[] = [];
  for (; n > 127; n = Math.floor(n / 128)) out.push((n % 128) | 128);
  return Buffer.from([...out, n]);
}
