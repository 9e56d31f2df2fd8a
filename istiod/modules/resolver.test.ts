import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import type { Looked } from '../envoy/credentials.ts';
import { codeOf, type FoundModule, ModuleResolver, type ModuleSource } from './resolver.ts';

const text = 'export default { onRequest(request: { path: string }): void { request.path = "/b"; } };\n';
const sha256 = createHash('sha256').update(text).digest('hex');
const url = 'https://modules.test/a/filter.ts';

function world(answers: (() => string)[]) {
  const clock = new FakeClock();
  const stop = new AbortController();
  const [asked, changes]: [string[], string[]] = [[], []];
  const maps = new Map<string, Looked<ReadonlyMap<string, string> | undefined>>();
  const resolver = new ModuleResolver({
    fetch: async (uri) => {
      asked.push(uri);
      return answers.shift()!();
    },
    configMap: (namespace, name) => maps.get(`${namespace}/${name}`) ?? { kind: 'found', value: undefined },
    clock,
    log: silentLogger,
    signal: stop.signal,
    onChange: (lookup) => void changes.push(lookup),
  });
  return { clock, asked, changes, maps, resolver, [Symbol.dispose]: () => stop.abort() };
}

const found = (looked: Looked<FoundModule>): FoundModule => {
  assert.equal(looked.kind, 'found');
  return (looked as { readonly value: FoundModule }).value;
};

test('a module from the network is fetched once, checked against its hash and made JavaScript', async () => {
  using w = world([() => text]);
  const source: ModuleSource = { kind: 'https', url, sha256 };
  assert.deepEqual(w.resolver.module(source), { kind: 'pending' });
  await until('the module', () => w.changes.length === 1);
  const module = found(w.resolver.module(source));
  assert.ok(module.kind === 'code' && module.sha256 === sha256);
  assert.doesNotMatch(module.code, /string|void/);
  w.clock.advance(3_600_000);
  assert.deepEqual(w.asked, [url]);
});

test('another file than the one that is pinned, or none, is no module; it is asked for again with a delay that doubles', async () => {
  using w = world([
    () => `${text}// changed`,
    () => {
      throw new Error('away');
    },
    () => text,
  ]);
  const source: ModuleSource = { kind: 'https', url, sha256 };
  w.resolver.module(source);
  await until('the first answer', () => w.changes.length === 1);
  const wrong = found(w.resolver.module(source));
  assert.ok(wrong.kind === 'none');
  assert.match(wrong.problem, /^its sha256 is [0-9a-f]{64}, not the one that the object names$/);
  w.clock.advance(1_000);
  await until('the second answer', () => w.changes.length === 2);
  assert.deepEqual(found(w.resolver.module(source)), { kind: 'none', problem: 'away' });
  w.clock.advance(2_000);
  await until('the third answer', () => w.changes.length === 3);
  assert.equal(found(w.resolver.module(source)).kind, 'code');
});

test('a module in a ConfigMap needs no hash, but keeps to one that it has', () => {
  using w = world([]);
  const source: ModuleSource = { kind: 'config-map', namespace: 'shop', name: 'filters', key: 'a.ts', sha256: '' };
  const problem = () => {
    const module = found(w.resolver.module(source));
    return module.kind === 'none' ? module.problem : undefined;
  };
  assert.match(problem()!, /there is no ConfigMap shop\/filters/);
  w.maps.set('shop/filters', { kind: 'pending' });
  assert.deepEqual(w.resolver.module(source), { kind: 'pending' });
  w.maps.set('shop/filters', { kind: 'found', value: new Map([['b.ts', text]]) });
  assert.equal(problem(), 'ConfigMap shop/filters has no key a.ts');
  w.maps.set('shop/filters', { kind: 'found', value: new Map([['a.ts', text]]) });
  assert.equal(problem(), undefined);
  assert.equal(found(w.resolver.module({ ...source, sha256 })).kind, 'code');
  assert.equal(found(w.resolver.module({ ...source, sha256: '0'.repeat(64) })).kind, 'none');
});

test('what cannot run without a compiler, or is too long, is said', () => {
  const problem = (source: string) => {
    const module = codeOf(source, 'a.ts', '');
    return module.kind === 'none' ? module.problem : 'none';
  };
  assert.match(problem('enum A { B } export default {}'), /a\.ts is no TypeScript that runs without a compiler/);
  assert.match(problem('export default {'), /a\.ts is no TypeScript/);
  assert.match(problem(`//${'x'.repeat(262_144)}`), /longer than 262144 bytes/);
});
