/** A module in a listener's chain, as istiod configures it: what it does to requests, and what its failure does. */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { test } from 'node:test';
import { typeUrl } from '../../../common/envoy/codec.ts';
import { until } from '../../../common/testing/until.ts';
import { Rig, router } from '../../testing/rig.ts';

const type = typeUrl('aquifer.ScriptFilter');

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

function ask(port: number, path = '/', headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    }).on('error', reject);
  });
}

/** The port of a listener whose requests go to cluster `web`, by this module if any. The name again: its next version. */
function listen(rig: Rig, name: string, source?: string, failOpen = false): Promise<number> {
  const script = { '@type': type, name: `wasmplugin/shop/${name}`, source, config: '{}', fail_open: failOpen };
  const header = { name: 'x-canary', string_match: { exact: 'on' } };
  const routes = [
    { match: { prefix: '/', headers: [header] }, direct_response: { status: 218 } },
    { match: { prefix: '/' }, route: { cluster: 'web' } },
  ];
  const filters = source === undefined ? [] : [{ name: 'script', typed_config: script }];
  return rig.http(name, routes, { http_filters: [...filters, router] });
}

async function site(): Promise<Rig> {
  const rig = new Rig();
  const upstream = await rig.upstream((request, response) => {
    response.setHeader('x-upstream', 'yes');
    response.end(JSON.stringify({ path: request.url, set: request.headers['x-set'], host: request.headers.host }));
  });
  rig.cluster('web', [upstream]);
  return rig;
}

test('a module changes the request and the answer, answers itself, and has routes asked again', async () => {
  await using rig = await site();
  const port = await listen(
    rig,
    'a',
    `export default {
       onRequest(request, { metrics }) {
         metrics.count('asked_total');
         if (request.path === '/own') return { status: 418, headers: { 'x-own': '1' }, body: 'mine' };
         request.headers.set('x-set', 'by a module');
         request.response.set('x-out', 'too');
         request.authority = 'other';
         if (request.path === '/canary') { request.headers.set('x-canary', 'on'); request.reroute(); }
         request.path = '/moved';
       },
       onResponse(response, { metrics }) { metrics.count('answered_total', { status: String(response.status), path: response.request.path }); },
     }`,
  );
  const plain = await ask(port);
  assert.deepEqual([plain.status, plain.headers['x-out']], [200, 'too']);
  assert.deepEqual(JSON.parse(plain.body), { path: '/moved', set: 'by a module', host: 'other' });
  const own = await ask(port, '/own');
  assert.deepEqual([own.status, own.headers['x-own'], own.body], [418, '1', 'mine']);
  assert.equal((await ask(port, '/canary')).status, 218);
  const page = () => [...rig.runtime.env.series.pages()].join('');
  await until('its metrics', () => page().includes('aquifer_filter_answered_total{status="218",path="/moved"} 1'));
  assert.match(page(), /aquifer_filter_asked_total\{\} 3/);
});

test('a module that fails refuses its requests, or lets them pass where it says so; other routes see nothing of it', async () => {
  await using rig = await site();
  const source = `export default { onRequest(request) { if (request.path === '/loop') for (;;); throw new Error('on purpose'); } }`;
  const closed = await listen(rig, 'closed', source);
  const open = await listen(rig, 'open', source, true);
  const other = await listen(rig, 'other');
  assert.equal((await ask(closed)).status, 503);
  assert.equal((await ask(open)).status, 200);
  const looping = [ask(closed, '/loop'), ask(open, '/loop')];
  assert.equal((await ask(other)).status, 200);
  assert.deepEqual(
    (await Promise.all(looping)).map(({ status }) => status),
    [503, 200],
  );
  assert.ok(rig.runtime.stats.counter('script.wasmplugin/shop/closed.failed.threw').value >= 1);
});

test('a new version takes over while requests come: each is answered by one or the other', async () => {
  await using rig = await site();
  const version = (n: number) => `export default { onRequest(request) { request.response.set('x-version', '${n}'); } }`;
  const port = await listen(rig, 'a', version(1));
  assert.equal((await ask(port)).headers['x-version'], '1');
  assert.equal(await listen(rig, 'a', version(2)), port);
  const seen = new Set<unknown>();
  await until('the new version', async () => {
    const answers = await Promise.all([1, 2, 3].map(() => ask(port)));
    for (const { status, headers } of answers) {
      assert.equal(status, 200);
      seen.add(headers['x-version']);
    }
    return answers.every(({ headers }) => headers['x-version'] === '2');
  });
  assert.deepEqual(
    [...seen].filter((v) => v !== '1' && v !== '2'),
    [],
  );
});

test('a configuration that is none is refused by its field', async () => {
  await using rig = new Rig();
  const source = 'x'.repeat(300_000);
  await assert.rejects(listen(rig, 'a', source), /source: is longer/);
  await assert.rejects(listen(rig, 'a', ''), /source: is empty/);
});
