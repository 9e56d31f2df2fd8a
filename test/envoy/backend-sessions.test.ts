/** Sessions that services have by an XBackendTrafficPolicy, in Envoy and in ours: the same pod, by whatever route. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { httpRoute, virtualService } from './cases/case.ts';
import { serviceOf } from './pair/mesh.ts';
import { Pair, type Side, sides } from './pair/pair.ts';

const policy = (name: string, of: readonly string[], session: string) => `
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: { name: ${name} }
spec: { targetRefs: [${of.map((s) => `{ group: '', kind: Service, name: ${s} }`).join()}], sessionPersistence: { ${session} } }
---`;
const byHeader = 'type: Header, header: { name: x-s }';

describe('sessions of backends', { skip: skipWithoutEnvoy() }, () => {
  let pair: Pair;
  before(async () => {
    pair = await Pair.start();
  });
  after(async () => {
    await pair?.[Symbol.asyncDispose]();
  });

  const ask = async (side: Side, service: string, path: string, headers: Readonly<Record<string, string>> = {}) => {
    const { answer } = await pair.ask(side, { service, host: service, path, headers });
    assert.equal(answer.status, 200);
    const headerOf = (name: string) =>
      answer.headers.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    return {
      pod: answer.body.trim(),
      session: headerOf('x-s'),
      own: headerOf('x-own'),
      cookie: headerOf('set-cookie'),
    };
  };

  /** Each pod of a service with what names it, as answers tell. */
  const podsOf = async (side: Side, service: string, path: string, count: number) => {
    const found = new Map<string, string>();
    await until(`${side}: ${count} pods`, async () => {
      const { pod, session } = await ask(side, service, path);
      found.set(pod, session!);
      return found.size === count;
    });
    return found;
  };

  const using = async (objects: string, run: () => Promise<void>) => {
    await pair.apply(objects);
    try {
      await run();
    } finally {
      await pair.remove(objects);
    }
  };

  test('go on at their pod, of a service without routes and of one that has some', async () => {
    const rest = httpRoute(`{ backendRefs: [{ name: many, port: 80 }] }`, { of: 'web' });
    await using(policy('p', ['many', 'v2'], byHeader) + rest, async () => {
      for (const side of sides)
        for (const service of ['many', 'web']) {
          for (const [pod, session] of await podsOf(side, service, '/', 3)) {
            for (let i = 0; i < 4; i++) {
              const again = await ask(side, service, '/', { 'x-s': session });
              assert.deepEqual([again.pod, again.session], [pod, undefined], `${side} ${service}`);
            }
          }
        }
    });
  });

  test('hold within each of several services that share requests', async () => {
    const to = (host: string) => `{ destination: { host: ${host} }, weight: 50 }`;
    const shared = virtualService(`{ route: [${to('many')}, ${to('v2')}] }`);
    await using(policy('p', ['many', 'v2'], byHeader) + shared, async () => {
      for (const side of sides) {
        const [[mine, session]] = [...(await podsOf(side, 'many', '/', 3))] as [[string, string]];
        const seen = new Set<string>();
        await until(`${side}: both`, async () => {
          for (let i = 0; i < 10; i++) {
            const { pod, session: told } = await ask(side, 'web', '/', { 'x-s': session });
            seen.add(pod);
            assert.equal(told === undefined, pod === mine, `${side}: ${pod}`);
            if (serviceOf(pod) === 'many') assert.equal(pod, mine, side);
          }
          return seen.size === 2;
        });
      }
    });
  });

  test('are those of the rule where a rule has its own, and of the oldest policy where there are several', async () => {
    const rules = `{ matches: [{ path: { value: /own } }], sessionPersistence: { type: Header, header: { name: x-own } }, backendRefs: [{ name: web, port: 80 }] },
      { backendRefs: [{ name: web, port: 80 }] }`;
    const cookie = (name: string, age: number) =>
      policy(
        name,
        ['web'],
        `type: Cookie, cookie: { name: ${name}, lifetimeType: Permanent }, absoluteTimeout: 1h`,
      ).replace('metadata: {', `metadata: { creationTimestamp: "2026-01-0${age}T00:00:00Z",`);
    await using(cookie('young', 2) + cookie('old', 1) + httpRoute(rules), async () => {
      for (const side of sides) {
        const own = await ask(side, 'web', '/own');
        assert.ok(own.own !== undefined && own.cookie === undefined, side);
        const { cookie: kept } = await ask(side, 'web', '/');
        assert.match(kept ?? 'none', /^old="[^"]+"; Max-Age=3600; Path=\/; HttpOnly$/, side);
      }
    });
  });

  test('without a name of their cookie are told from those of another port', async () => {
    await using(policy('p', ['web'], 'type: Cookie, cookie: {}'), async () => {
      for (const side of sides) {
        const names: (string | undefined)[] = [];
        for (const port of [80, 8080]) {
          const { answer } = await pair.ask(side, { service: 'web', port, host: 'web', path: '/' });
          const line = answer.headers.find((h) => h.startsWith('set-cookie: '));
          names.push(/^set-cookie: (session-[0-9a-f]{8})=/.exec(line ?? '')?.[1]);
        }
        assert.equal(new Set(names.filter((n) => n !== undefined)).size, 2, side);
      }
    });
  });
});
