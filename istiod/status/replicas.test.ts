/** The condition `Programmed` where proxies are connected to several istiods. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import type { Kind } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';
import { installDefinitions } from '../crds/install.ts';
import type { WithConditions } from '../model/condition.ts';
import { type Cluster, type Replica, withCluster } from '../testing/cluster.ts';
import { XdsClient } from '../testing/world.ts';

const kind = authorizationPolicyKind as Kind<WithConditions>;
const connect = (r: Replica) => new XdsClient(r, r.istiod.ports.grpc, credentials.createInsecure());

function message(c: Cluster, name: string, wanted: RegExp): Promise<string> {
  let last: string | undefined;
  return until(
    `the message ${wanted}`,
    async () => {
      const object = await c.kube.get(kind, { namespace: 'shop', name });
      last = object?.status?.conditions?.find((s) => s.type === 'Programmed')?.message;
      return last !== undefined && wanted.test(last) ? last : undefined;
    },
    40_000,
  ).catch((e: unknown) => assert.fail(`${e}; it says ${last}`));
}

test('proxies of all replicas are counted, with their refusals, also of one that has just come; those of one that ended are not', () =>
  withCluster(async (c) => {
    await installDefinitions(c.kube, systemClock, silentLogger);
    const [a, b] = [await c.start(), await c.start()];
    await c.namespace('shop');
    const put = async (ports: string) => {
      const spec = { action: 'DENY', rules: [{ to: [{ operation: { ports: [ports] } }] }] };
      const key = { namespace: 'shop', name: 'p' };
      if (await c.kube.get(kind, key)) await c.kube.patch(kind, key, { spec });
      else await c.kube.create(kind, { apiVersion: 'security.istio.io/v1', kind: kind.kind, metadata: key, spec });
    };
    const one = await connect(a).subscribe().firstAnswers();
    const two = await connect(b).subscribe().firstAnswers();
    const three = await connect(b).subscribe().firstAnswers();
    await put('80');
    await message(c, 'p', /^3\/3 proxies$/);
    for (const client of [one, three]) client.refuse = (r) => (r.resources.length > 0 ? 'shop/p: ugly' : undefined);
    await put('81');
    assert.match(await message(c, 'p', /ugly.*ugly/), /^1\/3 proxies; /);
    for (const client of [one, three]) client.refuse = () => undefined;
    await put('82');
    await message(c, 'p', /^3\/3 proxies$/);
    two.close();
    await message(c, 'p', /^2\/2 proxies$/);
    // Whichever led.
    await b.stop();
    await message(c, 'p', /^1\/1 proxies$/);
  }));
