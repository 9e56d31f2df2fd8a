import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { millis } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Kind, KubeObject, NewObject } from '../../common/kube/types.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { createAccess } from './access.ts';

/** An API server whose token `good` is ann's, and which says of each question whether she may. */
function fixture() {
  const clock = new FakeClock();
  const asked: string[] = [];
  const world = { clock, asked, may: new Set<string>(), away: false };
  const source = {
    async create<T extends KubeObject>(kind: Kind<T>, { spec }: NewObject): Promise<T> {
      if (world.away) throw new MeshError('API_UNAVAILABLE', 'away');
      const asks = spec as { token?: string; user?: string; resourceAttributes: Record<string, string> };
      if (kind.kind === 'TokenReview') {
        asked.push(`token ${asks.token}`);
        const authenticated = asks.token === 'good';
        return { status: { authenticated, ...(authenticated && { user: { username: 'ann' } }) } } as unknown as T;
      }
      const { verb, group, resource, namespace = '*' } = asks.resourceAttributes;
      const question = `${asks.user} ${verb} ${group}/${resource} ${namespace}`;
      asked.push(question);
      return { status: { allowed: world.may.has(question) } } as unknown as T;
    },
  };
  return Object.assign(world, { access: createAccess(source, clock) });
}

const pods = (namespace: string) => ({ kind: 'Pod', namespace });

describe('what the bearer of a token may list', () => {
  test('is what the API server says, asked once for each namespace', async () => {
    const w = fixture();
    w.may.add('ann list /pods shop');
    const reader = await w.access.reader('good');
    const readable = await reader!.readable([pods('shop'), pods('shop'), pods('bank')]);
    assert.deepEqual([readable(pods('shop')), readable(pods('bank')), readable(pods('other'))], [true, false, false]);
    assert.deepEqual(w.asked.sort(), ['ann list /pods *', 'ann list /pods bank', 'ann list /pods shop', 'token good']);
  });

  test('whoever may list everywhere is not asked about namespaces', async () => {
    const w = fixture();
    w.may.add('ann list /pods *');
    const readable = await (await w.access.reader('good'))!.readable([pods('shop'), pods('bank')]);
    assert.ok(readable(pods('shop')) && readable(pods('bank')));
    assert.deepEqual(w.asked, ['token good', 'ann list /pods *']);
  });

  test('of two kinds with one name both have to be allowed, and a kind that nobody knows never is', async () => {
    const w = fixture();
    w.may.add('ann list gateway.networking.k8s.io/gateways shop');
    const gateway = { kind: 'Gateway', namespace: 'shop' };
    const unknown = { kind: 'Spaceship', namespace: 'shop' };
    const before = await (await w.access.reader('good'))!.readable([gateway, unknown]);
    assert.deepEqual([before(gateway), before(unknown)], [false, false]);
    w.may.add('ann list networking.istio.io/gateways shop');
    w.clock.advance(millis(10_000));
    const after = await (await w.access.reader('good'))!.readable([gateway]);
    assert.ok(after(gateway));
  });

  test('a right that is taken away ends here after 10 s', async () => {
    const w = fixture();
    w.may.add('ann list /pods shop');
    const mayList = async () => (await (await w.access.reader('good'))!.readable([pods('shop')]))(pods('shop'));
    assert.ok(await mayList());
    w.may.clear();
    w.clock.advance(millis(9_999));
    assert.ok(await mayList());
    w.clock.advance(millis(1));
    assert.equal(await mayList(), false);
    assert.equal(await w.access.reader('bad'), undefined);
  });

  test('while the API server is away nobody learns anything, and afterwards it is asked again', async () => {
    const w = fixture();
    w.may.add('ann list /pods shop');
    w.away = true;
    await assert.rejects(w.access.reader('good'), /away/);
    w.away = false;
    const reader = await w.access.reader('good');
    w.away = true;
    await assert.rejects(reader!.readable([pods('shop')]), /away/);
    w.away = false;
    assert.ok((await reader!.readable([pods('shop')]))(pods('shop')));
  });
});
