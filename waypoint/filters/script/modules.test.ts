/** Modules in processes of their own: what they may do, and what stops them. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, test } from 'node:test';
import { systemClock } from '../../../common/core/clock.ts';
import { silentLogger } from '../../../common/core/log.ts';
import { Headers } from '../../request/headers.ts';
import { SeriesStore } from '../../telemetry/series.ts';
import { Stats } from '../../telemetry/stats.ts';
import { view } from '../../testing/view.ts';
import { type Outcome, readOutcome, requestCall } from './call.ts';
import { defaultLimits, type ScriptLimits } from './limits.ts';
import type { CallResult } from './result.ts';
import type { Script } from './script.ts';
import { Scripts } from './scripts.ts';

/** Of a machine that may be slow: only the limit that a test is about may strike. */
const patient: ScriptLimits = { ...defaultLimits, cpu: 30_000, time: 30_000, wait: 60_000, share: 64 };
const open: Scripts[] = [];
after(() => {
  for (const scripts of open) scripts.close();
});

function host(limits: ScriptLimits = patient) {
  const stats = new Stats();
  const series = new SeriesStore({ clock: systemClock, idle: undefined, limit: 100 });
  const scripts = new Scripts({ clock: systemClock, log: silentLogger, stats, series, limits });
  open.push(scripts);
  return { scripts, stats, series };
}

function run(source: string, config: unknown = {}, limits?: ScriptLimits) {
  const made = host(limits);
  const script = made.scripts.use('t', { source, config: JSON.stringify(config) });
  return { ...made, script };
}

function call(script: Script, headers: readonly (readonly [string, string])[] = [], path = '/a'): Promise<CallResult> {
  const text = requestCall({ ...view({ path }), headers: Headers.of(headers) }, { cluster: 'outbound|80||web' });
  return new Promise((resolve) => {
    script.call(text, resolve);
  });
}

async function outcome(
  script: Script,
  headers?: readonly (readonly [string, string])[],
  path?: string,
): Promise<Outcome> {
  const result = await call(script, headers, path);
  assert.equal(result.kind, 'outcome', JSON.stringify(result));
  return readOutcome((result as { readonly raw: unknown }).raw);
}

test('a module reads the request and says what becomes of it', async () => {
  const { script } = run(
    `export default { onRequest(request, { config, counters, crypto, metrics, log }) {
       request.headers.set('X-Seen', [request.method, request.path, request.headers.get('a'), request.cookie('c'), request.route.cluster, config.mode].join(' '));
       request.headers.remove('gone');
       request.response.append('set-cookie', 'x=' + counters.add('n', 2));
       request.path = '/b';
       request.reroute();
       metrics.count('seen_total', { path: request.path });
       log.info(crypto.hmacSha256('k', 'text') + request.headers.has('gone'));
     } }`,
    { mode: 'on' },
  );
  const got = await outcome(script, [
    ['A', '1'],
    ['a', '2'],
    ['cookie', 'b=1; c=2'],
    ['gone', 'x'],
  ]);
  assert.deepEqual(got.request, [
    { kind: 'set', name: 'x-seen', value: 'GET /a 1,2 2 outbound|80||web on' },
    { kind: 'remove', name: 'gone' },
  ]);
  assert.deepEqual(got.response, [{ kind: 'append', name: 'set-cookie', value: 'x=2' }]);
  assert.deepEqual([got.path, got.reroute, got.error], ['/b', true, undefined]);
  assert.deepEqual(got.metrics, [{ name: 'seen_total', labels: [['path', '/b']], n: 1 }]);
  const signature = createHmac('sha256', 'k').update('text').digest('hex');
  assert.deepEqual(got.lines, [['info', `${signature}false`]]);
  const again = await outcome(script);
  assert.deepEqual(again.response, [{ kind: 'append', name: 'set-cookie', value: 'x=4' }]);
});

test('nothing of the machine is within reach, by whatever way', async () => {
  const { script } = run(`
    const tries = {
      process: () => typeof process, require: () => typeof require, timers: () => typeof setTimeout + typeof queueMicrotask,
      fetch: () => typeof fetch, console: () => typeof console, wasm: () => typeof WebAssembly, shared: () => typeof SharedArrayBuffer + typeof Atomics,
      buffer: () => typeof Buffer, eval: () => (0, eval)('1'), newFunction: () => new Function('return 1')(),
      outer: (context) => context.crypto.sha256.constructor('return process')().pid,
      thrown: (context) => { try { context.crypto.sha256(Symbol()); } catch (e) { return e.constructor.constructor('return process')().pid; } },
      deep: (context) => { const f = () => { try { return f(); } catch (e) { return e.constructor.constructor('return process')().pid; } }; return f(); },
      imported: () => { const p = import('node:fs'); return p.constructor.constructor('return process')().pid; },
      stack: () => { Error.prepareStackTrace = (_, sites) => sites.map((s) => typeof s.getFunction() + typeof s.getThis()).join(); return /object/.test(new Error().stack) ? 'leaks' : 'undefined'; },
    };
    export default { onRequest(request, context) {
      const found = {};
      for (const [name, attempt] of Object.entries(tries)) {
        try { found[name] = String(attempt(context)); } catch (e) { found[name] = 'refused'; }
      }
      return { status: 200, body: JSON.stringify(found) };
    } }`);
  const { answer } = await outcome(script);
  const found = JSON.parse(answer!.body) as Record<string, string>;
  for (const [name, what] of Object.entries(found)) assert.match(what, /^(refused|(undefined)+)$/, name);
  assert.equal(Object.keys(found).length, 15);
});

test('a module that imports, is broken or exports no filter is refused with its reason', async () => {
  for (const [source, reason] of [
    [`import 'node:fs'; export default { onRequest() {} }`, /no imports/],
    [`export default { onRequest( }`, /./],
    ['export const a = 1', /no default export/],
    ['export default {}', /neither/],
    [`throw new Error('at the start'); export default {}`, /at the start/],
  ] as const) {
    const { script, stats } = run(source);
    const result = await call(script);
    assert.ok(result.kind === 'failed' && result.cause === 'refused', JSON.stringify(result));
    assert.match(result.detail, reason);
    assert.equal(stats.counter('script.t.stopped.refused').value, 1);
  }
});

test('what throws, waits or changes what it may not fails that call alone', async () => {
  const { script } = run(`export default { onRequest(request) {
    switch (request.headers.get('do')) {
      case 'throw': throw new Error('on purpose');
      case 'wait': return Promise.resolve();
      case 'frame': request.headers.set('content-length', '0'); return;
      case 'split': request.headers.set('a', 'b\\r\\nc: d'); return;
      case 'path': request.path = 'http://elsewhere/'; return;
      case 'many': for (let i = 0; i < 1000; i++) request.headers.append('a', 'b'); return;
      case 'long': return { status: 200, body: 'x'.repeat(1_000_000) };
      case 'status': return { status: 99 };
      default: return { status: 204 };
    }
  } }`);
  const all = ['throw', 'wait', 'frame', 'split', 'path', 'many', 'long', 'status', 'nothing'];
  const got = await Promise.all(all.map((what) => outcome(script, [['do', what]])));
  assert.deepEqual(
    got.map(({ error }) => error?.replace(/^\w*Error: /, '')),
    [
      'on purpose',
      'onRequest returned neither an answer nor nothing; it has to be synchronous',
      'header content-length may not be changed: it frames messages',
      'header a: "b\\r\\nc: d" has characters that it may not have',
      'path: "http://elsewhere/" has characters that it may not have',
      'more than 64 changes',
      'what it returned is too long, or no JSON',
      "the answer's status 99 is not within 200 and 599",
      undefined,
    ],
  );
});

test('a call that never returns is stopped by its CPU; those beside it are asked again and served', async () => {
  const { script, stats } = run(
    `export default { onRequest(request) { if (request.path === '/loop') for (;;); return { status: 204 }; } }`,
    {},
    { ...patient, cpu: 200 },
  );
  await outcome(script);
  const results = await Promise.all(['/a', '/loop', '/b', '/c'].map((path) => call(script, [], path)));
  assert.deepEqual(
    results.map((r) => (r.kind === 'failed' ? r.cause : r.kind)),
    ['outcome', 'cpu', 'outcome', 'outcome'],
  );
  assert.ok(stats.counter('script.t.stopped.cpu').value >= 1);
});

for (const [what, body] of [
  ['the heap', `const all = []; for (;;) all.push({ a: [1, 2, 3] });`],
  ['what is outside of the heap', `const all = []; for (;;) all.push(new Uint8Array(8_000_000).fill(1));`],
  ['one piece', `return { status: 200, body: 'x'.repeat(2 ** 28) + [...Array(2 ** 28).keys()] };`],
] as const) {
  test(`a module that fills memory (${what}) ends alone; the next call has a new process`, async () => {
    const { script } = run(
      `export default { onRequest(request) { if (request.path === '/leak') { ${body} } return { status: 204 }; } }`,
    );
    await outcome(script);
    const result = await call(script, [], '/leak');
    // An allocation that is refused at once is an exception, and harmless.
    if (result.kind === 'failed') assert.equal(result.cause, 'memory', result.detail);
    else assert.match(readOutcome(result.raw).error ?? '', /RangeError/);
    assert.equal((await outcome(script)).answer?.status, 204);
  });
}

test('a module is swapped under calls: none is lost, its counters go on, and one that does not start changes nothing', async () => {
  const { scripts, script } = run(
    `export default { onRequest(_, c) { return { status: 201, body: String(c.counters.add('n')) }; } }`,
  );
  const first = await outcome(script);
  assert.deepEqual([first.answer?.status, first.answer?.body], [201, '1']);
  assert.equal(scripts.use('t', { source: 'no module', config: '{}' }), script);
  scripts.use('t', {
    source: `export default { onRequest(_, c) { return { status: 202, body: String(c.counters.add('n')) }; } }`,
    config: '{}',
  });
  const bodies: number[] = [];
  let status = 0;
  while (status !== 202) {
    const { answer } = await outcome(script);
    status = answer!.status;
    bodies.push(Number(answer!.body));
  }
  assert.deepEqual(
    bodies,
    bodies.map((_, i) => i + 2),
  );
  scripts.use('t', { source: 'no module', config: '{}' });
  assert.equal((await outcome(script)).answer?.status, 202);
});
