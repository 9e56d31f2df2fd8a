/** The console in a real browser, on a mesh of 500 workloads: what is seen, by eyes, keyboard and screen reader. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { createServer } from '../../common/core/node-http.ts';
import { until } from '../../common/testing/until.ts';
import { consoleAnswers } from '../../istiod/console/answers.ts';
import type { RequestFlow } from '../../istiod/console/traffic/requests.ts';
import type { FlowView, GraphView, WorkloadView } from '../../istiod/console/views/graph.ts';
import { needs } from '../harness/require.ts';
import { chromium, type Page, withPage } from './browser.ts';

const shots = join(import.meta.dirname, '../../.cache/console');
const namespaces = ['bank', 'cart', 'front', 'mail', 'search', 'shop', 'stock', 'users', 'video', 'web'];

/** 50 workloads in each of 10 namespaces, each calling two others; one is sick, one is called in plain text, one refuses. */
function meshOf(round: number): GraphView {
  const workloads = namespaces.flatMap((namespace) =>
    Array.from({ length: 50 }, (_, i): WorkloadView => {
      const name = `${namespace}-service-${String(i).padStart(2, '0')}`;
      return {
        id: `${namespace}/${name}`,
        namespace,
        name,
        type: 'deployment',
        pods: 3,
        healthy: i === 7 ? 2 : 3,
        enrolled: i === 9 ? 0 : 3,
        identities: [`spiffe://cluster.local/ns/${namespace}/sa/${name}`],
        nodes: ['node-1', 'node-2'],
        policies: i % 5 === 0 ? [`${namespace}/callers`] : [],
      };
    }),
  );
  const flows = workloads.flatMap((w, i) =>
    [i + 7, i * 3 + 1].map((to, k): FlowView => {
      const target = workloads[to % workloads.length]!;
      const opened = 100 + round * 10;
      return {
        from: w.id,
        to: target.id,
        secured: target.enrolled > 0,
        opened,
        failed: i === 3 ? opened : 0,
        bytes: opened * 1_000,
        rates: { opened: 2, failed: i === 3 ? 2 : 0, bytes: 1_000 * (k + 1) * (i + 1) },
      };
    }),
  );
  const services = workloads.map((w) => ({
    id: `${w.namespace}/${w.name}.${w.namespace}.svc.cluster.local`,
    namespace: w.namespace,
    name: w.name,
    hostname: `${w.name}.${w.namespace}.svc.cluster.local`,
    addresses: ['10.96.0.1'],
    ports: [80],
    endpoints: 3,
    healthy: w.healthy,
    workloads: [w.id],
    // The last one of each namespace is its waypoint.
    ...(w.name.endsWith('-01') && {
      waypoint: `${w.namespace}/${w.namespace}-service-49`,
      requests: requestsIn(round),
    }),
  }));
  return { workloads, services, flows, silentProxies: 0 };
}

function requestsIn(round: number): RequestFlow {
  const [answered, failed] = [1_000 + round * 100, 10 + round];
  return { answered, refused: 0, failed, rates: { answered: 12.5, refused: 0, failed: 0.5 } };
}

interface Console {
  readonly url: string;
  readonly asked: string[];
}

/** The real pages over a mesh that is made up. */
async function withConsole(body: (c: Console) => Promise<void>): Promise<void> {
  const asked: string[] = [];
  let round = 0;
  const ok = (body: unknown) => ({ kind: 'ok', body }) as const;
  const answers = consoleAnswers({
    log: silentLogger,
    reader: async (token) => (token === 'good' ? { user: 'ann', readable: async () => () => true } : undefined),
    pages: {
      whoami: async () => ok({ user: 'ann' }),
      graph: async () => ok(meshOf(round++)),
      objects: async () =>
        ok([
          {
            apiVersion: 'security.istio.io/v1',
            kind: 'AuthorizationPolicy',
            namespace: 'shop',
            name: '<img src=x onerror=alert(1)>',
            generation: 2,
            programmed: '3/4',
            state: 'wrong',
            conditions: [{ type: 'Programmed', status: 'False', reason: 'Rejected', message: 'node-2 refused it' }],
          },
        ]),
      object: async (_reader, query) => {
        asked.push(query.toString());
        return ok({ kind: query.get('kind'), metadata: { managedFields: [], generation: 2 }, spec: { rules: [] } });
      },
      certificates: async () =>
        ok({
          roots: [{ id: '0123456789abcdef', notAfter: Date.now() + 1e11 }],
          certificates: [
            {
              identity: 'spiffe://cluster.local/ns/shop/sa/web',
              holder: 'istio-system/ztunnel-1',
              issuedAt: Date.now() - 60_000,
              notAfter: Date.now() + 1_800_000,
            },
          ],
        }),
      async why(_reader, query) {
        asked.push(query.toString());
        return ok({
          allowed: false,
          by: 'the proxy of the destination: no rule of ALLOW policy shop/callers holds',
          source: ['HBONE to there'],
          destination: [],
          policies: ['shop/callers'],
          open: [],
        });
      },
    },
  });
  const server = createServer(answers);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await body({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/console/`, asked });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const chips = (page: Page) => page.eval<number>(`document.querySelectorAll('.chip').length`);
const focused = (page: Page) => page.eval<string>(`document.activeElement.getAttribute('aria-label') ?? ''`);
const textOf = (page: Page, selector: string) =>
  page.eval<string>(`document.querySelector(${JSON.stringify(selector)})?.textContent ?? ''`);

async function keep(page: Page, name: string): Promise<void> {
  await mkdir(shots, { recursive: true });
  await writeFile(join(shots, `${name}.png`), await page.screenshot());
}

test('the console in a browser', async (t) => {
  if (!needs(t, `program:${chromium}`)) return;
  await withConsole(async ({ url, asked }) => {
    await withPage({ width: 1400, height: 900 }, async (page) => {
      const problems: string[] = [];
      page.on('Runtime.exceptionThrown', (e) => problems.push(e.exceptionDetails.exception?.description ?? ''));
      page.on('Log.entryAdded', ({ entry }) => entry.level === 'error' && problems.push(`${entry.text} ${entry.url}`));

      await t.test('asks for a token, and says when it is not one', async () => {
        await page.open(url);
        await until('the form is there', () => page.eval<boolean>(`!document.getElementById('login').hidden`));
        await keep(page, 'login');
        await page.eval(
          `document.getElementById('token').value = 'bad'; document.getElementById('login').requestSubmit()`,
        );
        await until('it is refused', async () => (await textOf(page, '#notice')).includes('does not know this token'));
        assert.ok(
          problems.every((p) => p.includes('401')),
          problems.join('\n'),
        );
        problems.length = 0;
      });

      await t.test('shows 500 workloads with what flows between them', async () => {
        await page.open('about:blank');
        await page.open(`${url}#token=good`);
        await until('all are drawn', async () => (await chips(page)) === 500);
        const drawn = await page.eval<number>('performance.now()');
        assert.equal(await page.eval(`location.hash`), '#graph', 'the token is out of the address');
        assert.match(await textOf(page, '.legend'), /500 workloads/);
        assert.equal(await textOf(page, '#user'), 'ann');
        assert.equal(await page.eval(`document.querySelectorAll('.flow.failing').length > 0`), true);
        await keep(page, 'graph');
        const paint = await page.eval(`performance.getEntriesByName('first-contentful-paint')[0]?.startTime`);
        t.diagnostic(`first paint after ${Math.round(paint as number)} ms, all workloads by ${Math.round(drawn)} ms`);
      });

      await t.test('panning lays nothing out', async () => {
        const metrics = async () => {
          const { metrics: all } = await page.command('Performance.getMetrics');
          const of = (name: string): number => all.find((m: { name: string }) => m.name === name).value;
          return {
            layouts: of('LayoutCount'),
            ms: (of('ScriptDuration') + of('LayoutDuration') + of('RecalcStyleDuration')) * 1_000,
          };
        };
        const frame = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))`;
        const first = await metrics();
        let last = first;
        const costs: number[] = [];
        await page.mouse('mousePressed', 60, 300);
        for (let i = 0; i < 40; i++) {
          await page.mouse('mouseMoved', 60 + i * 5, 300 + i * 2);
          await page.eval(frame);
          const next = await metrics();
          costs.push(next.ms - last.ms);
          last = next;
        }
        await page.mouse('mouseReleased', 255, 378);
        assert.ok(last.layouts - first.layouts <= 5, `${last.layouts - first.layouts} layouts for 40 moves`);
        costs.sort((a, b) => a - b);
        const [p50, p95] = [costs[20]!, costs[38]!].map((ms) => ms.toFixed(1));
        t.diagnostic(`script, style and layout of a frame while panning: p50 ${p50}, p95 ${p95} ms`);
      });

      await t.test('is used by keyboard, and screen readers hear names', async () => {
        await page.eval(`document.querySelector('.chip[tabindex="0"]').focus()`);
        const first = await focused(page);
        assert.match(first, /^bank-service-00 of bank: 3\/3 healthy, 1 policy, in the mesh$/);
        await page.press('ArrowDown');
        const second = await focused(page);
        assert.notEqual(second, first);
        await page.press('ArrowUp');
        assert.equal(await focused(page), first);
        assert.equal(await page.eval(`document.querySelectorAll('.chip[tabindex="0"]').length`), 1);
        await page.press('Enter');
        assert.match(await textOf(page, 'aside h2'), /bank-service-00/);
        const { nodes } = await page.command('Accessibility.getFullAXTree');
        const named = (role: string) =>
          nodes.filter(
            (n: { role?: { value: string }; name?: { value: string } }) => n.role?.value === role && n.name?.value,
          );
        assert.ok(named('button').length >= 500);
        assert.ok(named('complementary').length === 1 && named('navigation').length === 1);
        await keep(page, 'details');
      });

      await t.test('a click asks why, by the workload and the service that were chosen', async () => {
        await page.eval(`document.querySelector('.why').requestSubmit()`);
        await until('it is told', async () => (await textOf(page, '.verdict')).includes('It may not'));
        assert.match(await textOf(page, '.verdict'), /no rule of ALLOW policy shop\/callers holds/);
        assert.deepEqual(asked, [
          'from=bank%2Fbank-service-00&to=bank%2Fbank-service-00.bank.svc.cluster.local&port=80',
        ]);
        await keep(page, 'why');
        asked.length = 0;
        const choose = (name: string) =>
          page.eval(
            `const s = document.querySelector('.why select'); s.value = [...s.options].find((o) => o.text.startsWith(${JSON.stringify(name)})).value; s.dispatchEvent(new Event('change'))`,
          );
        const asksForRequest = () => page.eval<boolean>(`!document.querySelector('.why fieldset').hidden`);
        assert.equal(await asksForRequest(), false, 'nobody reads requests on the way there');
        await choose('shop-service-01.');
        assert.equal(await asksForRequest(), true, 'a waypoint does');
        const fill = (label: string, value: string) =>
          page.eval(`document.querySelector('.why [aria-label="${label}"]').value = ${JSON.stringify(value)}`);
        await fill('Method', 'DELETE');
        await fill('Path', '/books?id=1');
        await fill('Headers', 'x-tester: yes\n\nx-other: a');
        await page.eval(`document.querySelector('.why').requestSubmit()`);
        await until('it is asked', async () => asked.length === 1);
        const query = new URLSearchParams(asked[0]);
        assert.deepEqual(
          [query.get('to'), query.get('method'), query.get('path'), query.getAll('header')],
          ['shop/shop-service-01.shop.svc.cluster.local', 'DELETE', '/books?id=1', ['x-tester: yes', 'x-other: a']],
        );
        await keep(page, 'why-request');
        await page.eval(`document.querySelector('.chip[tabindex="0"]').focus()`);
        await page.press('Escape');
        assert.equal(await page.eval(`document.querySelector('aside').hidden`), true);
      });

      await t.test('tables can be searched, and names are never read as HTML', async () => {
        await page.eval(`location.hash = '#workloads'`);
        await until('all are listed', async () => (await textOf(page, 'caption')) === '500 workloads');
        await page.eval(
          `document.querySelector('.filter').value = 'shop-service-07'; document.querySelector('.filter').dispatchEvent(new Event('input'))`,
        );
        assert.equal(await textOf(page, 'caption'), '1 workload');
        assert.match(await textOf(page, 'tbody'), /shop-service-07shop2\/33\/3/);
        await page.eval(`location.hash = '#services'`);
        await until('all are listed', async () => (await textOf(page, 'caption')) === '500 services');
        assert.match(await textOf(page, 'tbody'), /3\/3bank\/bank-service-491300\.5/);
        await keep(page, 'services');
        await page.eval(`location.hash = '#config'`);
        await until('it is listed', async () => (await textOf(page, 'tbody')).includes('node-2 refused it'));
        assert.match(await textOf(page, 'tbody'), /<img src=x onerror=alert\(1\)>.*3\/4/);
        assert.equal(await page.eval(`document.querySelectorAll('img').length`), 0);
        await keep(page, 'config');
        asked.length = 0;
        await page.eval(`document.querySelector('tbody td').click()`);
        await until('the object is shown', async () => (await textOf(page, 'dialog pre')).includes('"rules": []'));
        assert.match(asked.join(), /^kind=AuthorizationPolicy&namespace=shop&name=%3Cimg/);
        assert.doesNotMatch(await textOf(page, 'dialog pre'), /managedFields/);
        assert.equal(await page.eval(`document.querySelectorAll('img').length`), 0);
        await keep(page, 'object');
        await page.press('Escape');
        await until('it is closed', () => page.eval<boolean>(`document.querySelector('dialog') === null`));
        await page.eval(`location.hash = '#certificates'`);
        await until('it is listed', async () => (await textOf(page, 'tbody')).includes('ns/shop/sa/web'));
        assert.match(await textOf(page, 'tbody'), /in 30 min/);
        await keep(page, 'certificates');
      });

      await t.test('without an error in the page', () => assert.deepEqual(problems, []));
    });
  });
});
