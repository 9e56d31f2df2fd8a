import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { type MeshConfig, parseMeshConfig } from './mesh-config.ts';

function parsed(...texts: string[]): MeshConfig {
  const result = parseMeshConfig(texts);
  assert.ok(result.kind === 'ok', JSON.stringify(result));
  return result.config;
}

test('what the model reads, and its defaults', () => {
  const none = parsed();
  assert.deepEqual([none.trustDomain, none.rootNamespace, none.discoverySelectors], [undefined, undefined, []]);
  assert.deepEqual(none.settings.exportTo, ['*']);
  const all = parsed(`
trustDomain: corp
rootNamespace: policies
discoverySelectors: [{matchLabels: {mesh: "yes"}}, {matchExpressions: [{key: team, operator: In, values: [a, b]}]}]
defaultServiceExportTo: ["."]
serviceScopeConfigs: [{servicesSelector: {matchLabels: {g: y}}, scope: GLOBAL}, {namespaceSelector: {matchLabels: {g: y}}}]
serviceEntryVisibility:
  defaultVisibility: NAMESPACE
  policies: [{visibility: NONE, matchingRules: [{namespaceSelector: {matchLabels: {team: x}}}, {}]}]
`);
  assert.deepEqual([all.trustDomain, all.rootNamespace, all.settings.exportTo], ['corp', 'policies', ['.']]);
  assert.deepEqual(
    all.discoverySelectors.map((s) => [s.matchLabels, s.matchExpressions?.length]),
    [
      [{ mesh: 'yes' }, 0],
      [{}, 1],
    ],
  );
  assert.deepEqual(
    all.settings.serviceScopes.map((s) => s.scope),
    ['GLOBAL', 'LOCAL'],
  );
  const [policy] = all.settings.serviceEntryVisibility!.policies;
  assert.deepEqual([all.settings.serviceEntryVisibility?.fallback, policy?.visibility], ['NAMESPACE', 'NONE']);
  assert.equal(policy?.namespaces.length, 2, 'a rule that is not understood stays, and selects nothing');
});

test('the later text counts, key by key', () => {
  const config = parsed('trustDomain: user\nrootNamespace: user', 'trustDomain: own', '');
  assert.deepEqual([config.trustDomain, config.rootNamespace], ['own', 'user']);
});

test('keys that are not known are told, those of other parts of the mesh are not', () => {
  const result = parseMeshConfig([
    'accessLogFile: /dev/stdout\nrootNamespaces: x\ndefaultConfig: {discoveryAddress: x}',
  ]);
  assert.ok(result.kind === 'ok');
  assert.deepEqual(result.warnings, ['rootNamespaces is no key of MeshConfig; did you mean "rootNamespace"?']);
});

for (const [text, reason] of [
  ['a: [', /not valid YAML/],
  ['- a', /expected a mapping/],
  ['trustDomain: [a]', /trustDomain: expected a text/],
  ['discoverySelectors: {a: b}', /discoverySelectors: expected a list of mappings/],
  ['discoverySelectors: [{matchExpressions: [{key: a, operator: Near}]}]', /operator: expected In or NotIn/],
  ['serviceScopeConfigs: [{scope: WIDE}]', /serviceScopeConfigs\[0\]\.scope: expected LOCAL or GLOBAL/],
  ['serviceEntryVisibility: 3', /serviceEntryVisibility: expected/],
] as const) {
  test(`refused whole: ${text}`, () => {
    const result = parseMeshConfig([text]);
    assert.match(result.kind === 'invalid' ? result.reason : '', reason);
  });
}

test('any text is read or refused', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => Boolean(parseMeshConfig([text]).kind)));
  const keys = fc.constantFrom(
    'trustDomain',
    'discoverySelectors',
    'serviceScopeConfigs',
    'serviceEntryVisibility',
    'defaultServiceExportTo',
  );
  fc.assert(
    fc.property(fc.dictionary(keys, fc.jsonValue()), (value) => Boolean(parseMeshConfig([stringify(value)]).kind)),
  );
});

test('services that take access logs, and files', () => {
  const provider = (text: string) =>
    parsed(`extensionProviders: [{name: a, ${text}}]`).settings.envoy.extensionProviders.at(-1);
  const to = { name: 'a', service: 's', port: 1, logName: undefined };
  assert.deepEqual(provider('envoyOtelAls: {service: s, port: 1, logFormat: {text: t, labels: {b: c}}}'), {
    ...{ kind: 'otlp-logs', ...to, text: 't', labels: { b: 'c' } },
  });
  assert.deepEqual(provider('envoyOtelAls: {service: s, port: 1, logName: n}'), {
    ...{ kind: 'otlp-logs', ...to, logName: 'n', text: undefined, labels: {} },
  });
  assert.deepEqual(
    provider(
      'envoyHttpAls: {service: s, port: 1, filterStateObjectsToLog: [f], additionalRequestHeadersToLog: [a], additionalResponseTrailersToLog: [b]}',
    ),
    { kind: 'http-als', ...to, states: ['f'], requestHeaders: ['a'], responseHeaders: [], responseTrailers: ['b'] },
  );
  assert.deepEqual(provider('envoyTcpAls: {service: s, port: 1}'), { kind: 'tcp-als', ...to, states: [] });
  const file = { kind: 'file', name: 'a', path: '/dev/stdout', format: undefined, omitsEmpty: false };
  assert.deepEqual(provider('envoyFileAccessLog: {}'), file);
  assert.deepEqual(provider('envoyFileAccessLog: {path: /x, omitEmptyValues: true, logFormat: {labels: {b: c}}}'), {
    ...{ ...file, path: '/x', omitsEmpty: true, format: { labels: { b: 'c' } } },
  });
  const wrong = parseMeshConfig([
    'extensionProviders: [{name: a, envoyOtelAls: {service: 1, logFormat: {labels: {b: 2}}}}]',
  ]);
  assert.ok(wrong.kind === 'invalid' && /labels\.b.*service/.test(wrong.reason), JSON.stringify(wrong));
});

test('services that decide: what Envoy would not take makes one of them unusable, with the field', () => {
  const provider = (text: string, name = 'a') =>
    parsed(`extensionProviders: [{name: ${name}, ${text}}]`).settings.envoy.extensionProviders.at(-1);
  assert.deepEqual(
    provider('envoyExtAuthzGrpc: {service: s, port: 1, includeRequestBodyInCheck: {maxRequestBytes: 9}}'),
    {
      kind: 'authz',
      name: 'a',
      service: 's',
      port: 1,
      timeout: undefined,
      failsOpen: false,
      clearsRoute: false,
      statusOnError: undefined,
      body: { most: 9, partial: false, asBytes: false },
      by: { kind: 'grpc' },
    },
  );
  const http = (more: string, name?: string) => provider(`envoyExtAuthzHttp: {service: s, port: 1, ${more}}`, name);
  for (const [text, reason] of [
    ['statusOnError: "299"', /envoyExtAuthzHttp.statusOnError/],
    ['statusOnError: x', /statusOnError/],
    ['timeout: 0s', /timeout/],
    ['pathPrefix: a', /pathPrefix/],
    ['includeRequestBodyInCheck: {}', /maxRequestBytes/],
    ['headersToUpstreamOnAllow: ["*"]', /headers/],
    ['includeHeadersInCheck: ["*"]', /headers/],
    ['includeAdditionalHeadersInCheck: {":path": x}', /includeAdditionalHeadersInCheck/],
  ] as const) {
    const judged = http(text);
    assert.ok(judged?.kind === 'unusable' && reason.test(judged.reason), `${text}: ${JSON.stringify(judged)}`);
  }
  assert.equal(provider('envoyExtAuthzHttp: {service: s}')?.kind, 'unusable', 'no port');
  assert.equal(http('timeout: 1s', '"a]b"')?.kind, 'unusable');
  assert.equal(http('timeout: 1s', 'Upper')?.kind, 'unusable');
  const wrong = parseMeshConfig(['extensionProviders: [{name: a, envoyExtAuthzHttp: {service: 1, failOpen: x}}]']);
  assert.ok(wrong.kind === 'invalid' && /service.*failOpen/.test(wrong.reason), JSON.stringify(wrong));
});
