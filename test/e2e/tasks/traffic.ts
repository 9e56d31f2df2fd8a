/** Istio's tasks of traffic management, at a waypoint: the objects are as its documentation has them, for a service of two versions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../common/testing/until.ts';
import { patience, type Shop } from '../shop.ts';

const subsets = destinationRule(
  'subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]',
);

function destinationRule(spec: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews, namespace: shop }
spec: { host: reviews, ${spec} }
---`;
}

function virtualService(spec: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews, namespace: shop }
spec: { hosts: [reviews], ${spec} }
---`;
}

const to = (subset: string, more = '') => `{ destination: { host: reviews, subset: ${subset} }${more} }`;
const url = 'http://reviews';
const jason = ['-H', 'end-user: jason'];

export function trafficTasks(shop: () => Shop): void {
  const during = async (objects: string, work: () => Promise<void>) => {
    await shop().apply(objects);
    try {
      await work();
    } finally {
      await shop().delete(objects);
    }
  };
  const ask = (...args: readonly string[]) => shop().curl('client', args);
  const becomes = (what: string, args: readonly string[], holds: Parameters<Shop['until']>[3]) =>
    shop().until(what, 'client', args, holds);
  /** How many of so many requests, each by a connection of its own, come to v2. */
  const shareOfV2 = async (count: number, to: string) => {
    const { stdout } = await shop().exec('client', [
      'sh',
      '-c',
      `for i in $(seq ${count}); do curl -s -m 10 ${to}; done`,
    ]);
    const pods = [...stdout.matchAll(/"pod":"(reviews-v\d)/g)].map(([, pod]) => pod);
    assert.equal(pods.length, count, stdout);
    return pods.filter((pod) => pod === 'reviews-v2').length;
  };

  test('task: request routing, by a header and for all', () =>
    during(
      subsets +
        virtualService(
          `http: [{ match: [{ headers: { end-user: { exact: jason } } }], route: [${to('v2')}] }, { route: [${to('v1')}] }]`,
        ),
      async () => {
        await becomes('jason sees v2', [...jason, url], (a) => a.isFrom('reviews-v2'));
        for (let i = 0; i < 4; i++) assert.ok((await ask(url)).isFrom('reviews-v1'));
      },
    ));

  test('task: fault injection, a delay and an abort', () =>
    during(
      subsets +
        virtualService(
          `http: [{ match: [{ headers: { end-user: { exact: jason } } }], fault: { abort: { percentage: { value: 100 }, httpStatus: 500 } }, route: [${to('v1')}] },
             { match: [{ headers: { end-user: { exact: late } } }], fault: { delay: { percentage: { value: 100 }, fixedDelay: 1s } }, route: [${to('v1')}] },
             { route: [${to('v1')}] }]`,
        ),
      async () => {
        const aborted = await becomes('it is aborted', [...jason, url], (a) => a.status === 500);
        assert.equal(aborted.text, 'fault filter abort');
        const started = performance.now();
        assert.equal((await ask('-H', 'end-user: late', url)).status, 200);
        assert.ok(performance.now() - started >= 1_000, 'it came late');
        assert.equal((await ask(url)).status, 200);
      },
    ));

  test('task: traffic shifting, by weight and to the end', async () => {
    const half = virtualService(`http: [{ route: [${to('v1', ', weight: 50')}, ${to('v2', ', weight: 50')}] }]`);
    await during(subsets + half, async () => {
      await until(
        'both are asked',
        async () => {
          const share = await shareOfV2(40, url);
          return share > 8 && share < 32 ? share : undefined;
        },
        patience,
      );
      await shop().apply(virtualService(`http: [{ route: [${to('v2')}] }]`));
      await until('v2 alone is asked', async () => (await shareOfV2(10, url)) === 10 || undefined, patience);
    });
  });

  test('task: TCP traffic shifting', async () => {
    const at = 'http://reviews:9000';
    const weights = (v1: number, v2: number) =>
      virtualService(
        `tcp: [{ match: [{ port: 9000 }], route: [${to('v1', `, weight: ${v1}`)}, ${to('v2', `, weight: ${v2}`)}] }]`,
      );
    await during(subsets + weights(100, 0), async () => {
      await until('v1 alone is asked', async () => (await shareOfV2(10, at)) === 0 || undefined, patience);
      await shop().apply(weights(50, 50));
      await until(
        'both are asked',
        async () => {
          const share = await shareOfV2(40, at);
          return share > 8 && share < 32 ? share : undefined;
        },
        patience,
      );
    });
  });

  test('task: request timeouts', () =>
    during(virtualService('http: [{ timeout: 0.5s, route: [{ destination: { host: reviews } }] }]'), async () => {
      const late = await becomes('it takes too long', [`${url}/delay/3000`], (a) => a.status === 504);
      assert.equal(late.text, 'upstream request timeout');
      assert.equal((await ask(url)).status, 200);
    }));

  test('task: circuit breaking, by connections and requests that wait', () =>
    during(
      destinationRule(
        'trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1, maxRequestsPerConnection: 1 } } }',
      ),
      async () => {
        const burst = async () => {
          const many = [
            '-s',
            '-Z',
            '--parallel-immediate',
            '--parallel-max',
            '20',
            '-o',
            '/dev/null',
            '-w',
            '%{http_code}\n',
          ];
          const { stdout } = await shop().exec('client', ['curl', ...many, `${url}/delay/200?[1-20]`]);
          const statuses = stdout.trim().split('\n');
          assert.equal(statuses.length, 20, stdout);
          return statuses;
        };
        const statuses = await until(
          'some are refused',
          async () => {
            const told = await burst();
            return told.includes('503') ? told : undefined;
          },
          patience,
        );
        assert.ok(statuses.includes('200'), statuses.join());
        assert.equal((await ask(url)).status, 200, 'one at a time passes');
      },
    ));

  test('task: mirroring', () =>
    during(
      subsets +
        virtualService(
          `http: [{ route: [${to('v1')}], mirror: { host: reviews, subset: v2 }, mirrorPercentage: { value: 100 } }]`,
        ),
      async () => {
        const seen = async (path: string) => {
          const [v2] = await shop().ipsOf('reviews-v2');
          return Number((await ask(`http://${v2}:8080/seen/${path}`)).text);
        };
        let round = 0;
        await until(
          'v2 gets copies',
          async () => {
            const answer = await ask(`${url}/mirrored-${++round}.`);
            assert.equal(answer.status, 200);
            return (answer.isFrom('reviews-v1') && (await seen(`mirrored-${round}.`)) === 1) || undefined;
          },
          patience,
        );
      },
    ));
}
