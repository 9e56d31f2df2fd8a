import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { scriptConfig } from '../../common/envoy/script.ts';
import type { MeshPort, MeshService, MeshView } from '../envoy/inputs.ts';
import type { WaypointProxy } from '../envoy/proxy.ts';
import { viewOf } from '../envoy/routes/testing/view.ts';
import { type Extension, extensionConditions, extensionFilters, fromConfigMap, moduleOf } from './extensions.ts';
import { codeOf } from './resolver.ts';

const service = {
  key: 'shop/web',
  kind: 'Service',
  namespace: 'shop',
  name: 'web',
  waypoint: 'shop/waypoint',
} as MeshService;
const port: MeshPort = { number: 80, name: 'http', protocol: 'HTTP11' };
const proxy = { kind: 'waypoint', gateway: 'shop/waypoint', namespace: 'shop', engine: 'aquifer' } as WaypointProxy;
const sha256 = '0'.repeat(64);

function plugin(
  name: string,
  spec: object = {},
  annotations: Record<string, string> = { [fromConfigMap]: 'filters' },
): Extension {
  return {
    apiVersion: 'extensions.istio.io/v1alpha1',
    kind: 'WasmPlugin',
    metadata: { name, namespace: 'shop', annotations },
    spec: { url: `file:///${name}.ts`, targetRefs: [{ group: '', kind: 'Service', name: 'web' }], ...spec },
  } as unknown as Extension;
}

const traffic = (
  name: string,
  { phase, ...wasm }: { readonly phase?: string; readonly [field: string]: unknown },
): Extension =>
  ({
    ...plugin(name),
    kind: 'TrafficExtension',
    spec: { ...(phase !== undefined && { phase }), targetRefs: [{ group: '', kind: 'Service', name: 'web' }], wasm },
  }) as unknown as Extension;

function viewWith(objects: readonly Extension[], annotations: Record<string, string> = {}): MeshView {
  return {
    ...viewOf([service], []),
    extensions: (target) => (target === 'Service/shop/web' ? objects : []),
    waypoint: () => ({ account: 'waypoint', gateway: { metadata: { annotations } } }) as never,
    filterModule: (source) =>
      source.kind === 'config-map' && source.key !== 'gone.ts'
        ? codeOf(`export default { onRequest() { return '${source.key}'; } }`, source.key, '')
        : { kind: 'none', problem: 'nobody answers' },
  };
}

interface Made {
  readonly name: string;
  readonly typed_config: { readonly source: string; readonly config: string; readonly fail_open: boolean };
}

const made = (objects: readonly Extension[], of: WaypointProxy = proxy, at: MeshPort = port) =>
  extensionFilters(viewWith(objects), of, service, at) as unknown as Readonly<Record<string, readonly Made[]>>;

test('modules stand in their phases, higher priorities first, then by name', () => {
  const filters = made([
    plugin('b'),
    plugin('a'),
    plugin('c', { priority: 5 }),
    plugin('n', { phase: 'AUTHN' }),
    traffic('z', { phase: 'AUTHZ', url: 'file:///z.js', pluginConfig: { a: [1] }, failStrategy: 'FAIL_OPEN' }),
    plugin('s', { phase: 'STATS' }),
  ]);
  const names = (phase: string) => filters[phase]!.map(({ name }) => name);
  assert.deepEqual(names('UNSPECIFIED'), ['wasmplugin/shop/c', 'wasmplugin/shop/a', 'wasmplugin/shop/b']);
  assert.deepEqual([names('AUTHN'), names('STATS')], [['wasmplugin/shop/n'], ['wasmplugin/shop/s']]);
  const [z] = filters['AUTHZ']!;
  assert.deepEqual(
    [z!.name, z!.typed_config.config, z!.typed_config.fail_open],
    ['trafficextension/shop/z', '{"a":[1]}', true],
  );
  assert.match(z!.typed_config.source, /z\.js/);
  const type = typeUrl(scriptConfig);
  const decoded = decodeEnvoy(type, encodeEnvoy(z!.typed_config as never));
  assert.ok(decoded.kind === 'ok');
  assert.deepEqual([decoded.value['name'], decoded.value['fail_open']], ['trafficextension/shop/z', true]);
});

test('only where they match, and at our waypoint alone', () => {
  const client = plugin('a', { match: [{ mode: 'CLIENT' }] });
  const at81 = plugin('b', { match: [{ mode: 'SERVER', ports: [{ number: 81 }] }] });
  const at80 = plugin('c', { match: [{ ports: [{ number: 81 }] }, { ports: [{ number: 80 }] }] });
  assert.deepEqual(
    made([client, at81, at80])['UNSPECIFIED']!.map(({ name }) => name),
    ['wasmplugin/shop/c'],
  );
  assert.deepEqual(made([plugin('a')], { ...proxy, engine: 'envoy' })['UNSPECIFIED'], []);
});

test('a module that cannot be had fails as its object declares; Wasm and Lua are none', () => {
  const [closed, open] = made([plugin('gone'), plugin('gone', { failStrategy: 'FAIL_OPEN' })])['UNSPECIFIED']!;
  assert.equal(closed!.typed_config.source, 'throw new Error("nobody answers");');
  assert.deepEqual([closed!.typed_config.fail_open, open!.typed_config.fail_open], [false, true]);
  assert.deepEqual(made([plugin('w', { url: 'oci://registry/a:1' })])['UNSPECIFIED'], []);
});

test('where a module comes from: a hash pins what comes from the network', () => {
  const of = (spec: object, annotations = {}) => moduleOf(plugin('a', spec, annotations));
  assert.deepEqual(of({ url: 'https://a.test/b/c.ts?d', sha256 }), {
    kind: 'https',
    url: 'https://a.test/b/c.ts?d',
    sha256,
  });
  const problems: readonly (readonly [string, RegExp])[] = [
    ['https://a.test/c.ts', /needs sha256/],
    ['http://a.test/c.js', /http: is not asked/],
    ['file:///c.mjs', /annotation aquifer\.dev\/module-configmap/],
  ];
  for (const [url, reason] of problems) {
    const source = of({ url });
    assert.ok(source?.kind === 'problem', url);
    assert.match(source.problem, reason);
  }
  assert.equal(of({ url: 'https://a.test/c.wasm' }), undefined);
  assert.equal(of({ url: 'registry/image:latest' }), undefined);
  assert.deepEqual(of({}, { [fromConfigMap]: 'm' }), {
    kind: 'config-map',
    namespace: 'shop',
    name: 'm',
    key: 'a.ts',
    sha256: '',
  });
});

test('the status says what of it has no effect, and where an Envoy would have to run it', () => {
  const said = (object: Extension, annotations?: Record<string, string>) =>
    [...extensionConditions(viewWith([object], annotations), object)!.values()][0];
  assert.equal(said(plugin('a')), undefined);
  assert.equal(said(plugin('gone'))!.message, 'nobody answers: requests are refused');
  assert.equal(said(plugin('gone', { failStrategy: 'FAIL_OPEN' }))!.message, 'nobody answers: requests pass');
  assert.match(said(plugin('a', { targetRefs: undefined }))!.message, /^targetRefs: modules run at waypoints/);
  assert.match(said(plugin('a', { verificationKey: 'x' }))!.message, /^verificationKey: of no effect/);
  const envoy = said(plugin('a'), { 'sidecar.istio.io/proxyImage': 'istio/proxyv2' })!;
  assert.equal(envoy.reason, 'Unsupported');
  assert.match(envoy.message, /run by istio\/proxyv2, which runs no modules; requests pass/);
  assert.equal(extensionConditions(viewWith([]), plugin('a', { url: 'oci://r/a' })), undefined);
});
