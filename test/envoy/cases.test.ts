/** Hand-written cases: istiod's whole configuration of each does in a stock Envoy and in our waypoint what the case says, and the same. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { routeCases } from './cases/all.ts';
import type { CaseRequest, Expectation, RouteCase } from './cases/case.ts';
import { countedElse } from './differences.ts';
import { textOf } from './pair/lines.ts';
import { serviceOf } from './pair/mesh.ts';
import { normalized } from './pair/normalized.ts';
import { type Outcome, Pair, type Question, type Side, sides } from './pair/pair.ts';
import { type Counters, compared, deltaOf } from './pair/stats.ts';

describe('cases, in Envoy and in ours', { skip: skipWithoutEnvoy() }, () => {
  let pair: Pair;
  let asked = 0;
  before(async () => {
    pair = await Pair.start();
  });
  after(async () => {
    await pair?.[Symbol.asyncDispose]();
  });

  for (const one of routeCases) {
    test(one.name, async () => {
      await pair.apply(one.objects, one.mesh);
      try {
        await runCase(one);
      } finally {
        await pair.remove(one.objects);
      }
    });
  }

  test('all of them', (t) => {
    t.diagnostic(`compared ${asked}, 0 differ`);
  });

  async function runCase(one: RouteCase): Promise<void> {
    await until('what was asked before has ended', isQuiet);
    const before = await statsOf();
    for (const request of one.requests) {
      if (request.shares) await shared(request, request.shares);
      else await same(request, one.decider);
    }
    const byChance = one.requests.some((r) => r.shares !== undefined);
    const row = countedElse.find(({ name }) => name === one.name);
    await sameStats(before, byChance, row?.counter ?? (watched.test(one.name) ? ofCollector : undefined));
  }

  async function same(request: CaseRequest, decider: string | undefined): Promise<void> {
    const { expect } = request;
    const attempts = expect.attempts ?? (expect.to === undefined && expect.pod === undefined ? 0 : 1);
    const copies = attempts + (expect.mirrored?.length ?? 0);
    const outcomes: Partial<Record<Side, Outcome>> = {};
    for (const side of sides) {
      const outcome = await pair.ask(side, questionOf(request), copies);
      check(
        outcome,
        expect,
        attempts,
        `${side}: ${request.method ?? 'GET'} ${request.path} ${JSON.stringify(outcome, undefined, 1)}`,
      );
      outcomes[side] = normalized(outcome, decider);
    }
    asked++;
    assert.deepEqual(outcomes.ours, outcomes.envoy, `${request.method ?? 'GET'} ${request.path}`);
  }

  /** What chance decides comes in the shares that are said, of both. */
  async function shared(request: CaseRequest, shares: Readonly<Record<string, number>>): Promise<void> {
    const rounds = 200;
    const total = Object.values(shares).reduce((sum, n) => sum + n, 0);
    for (const side of sides) {
      const seen: Record<string, number> = {};
      for (let i = 0; i < rounds; i++) {
        const { answer } = await pair.ask(side, questionOf(request));
        const who = answer.status === 200 && answer.body !== '' ? answer.body.trim() : String(answer.status);
        seen[who] = (seen[who] ?? 0) + 1;
      }
      asked += rounds;
      assert.deepEqual(Object.keys(seen).sort(), Object.keys(shares).sort(), `${side}: ${JSON.stringify(seen)}`);
      for (const [who, share] of Object.entries(shares)) {
        const p = share / total;
        const deviations = Math.abs(seen[who]! - rounds * p) / Math.sqrt(rounds * p * (1 - p) || 1);
        assert.ok(deviations < 5, `${side}: ${who} got ${seen[who]} of ${rounds}, not ${p}`);
      }
    }
  }

  async function statsOf(): Promise<Readonly<Record<Side, Counters>>> {
    return { envoy: await pair.stats('envoy'), ours: await pair.stats('ours') };
  }

  /** Nobody is connected to a service: ends of connections count for the case that made them. */
  async function isQuiet(): Promise<boolean> {
    const stats = Object.values(await statsOf());
    return stats.every((counters) => [...counters].every(([name, value]) => value === 0 || !connected.test(name)));
  }

  /** Counters of what ended a moment ago may take that long. By chance: they need not be the same. */
  async function sameStats(
    from: Readonly<Record<Side, Counters>>,
    isByChance: boolean,
    butThese?: RegExp,
  ): Promise<void> {
    if (isByChance) return;
    const counts = (name: string) => compared(name) && !butThese?.test(name);
    const deltas = async () => {
      const to = await statsOf();
      return sides.map((side) =>
        Object.fromEntries([...deltaOf(from[side], to[side])].filter(([name]) => counts(name)).sort()),
      );
    };
    const equal = async () => {
      const [envoy, ours] = await deltas();
      assert.deepEqual(ours, envoy, 'counters');
      return true;
    };
    await until('the same counters', equal, 1_000).catch(equal);
  }
});

/**
 * What is collected leaves when its time has come, by whatever case it is then: Envoy's logs came in one of traces. What comes is compared by
 * log-collectors.test.ts and tracing.test.ts.
 */
const watched = /^(logs|metrics|telemetry|traces)\b/;
const ofCollector = /^cluster\.outbound\|9000\|\|api\.pay\.svc\.cluster\.local;/;

const connected = /^http\.(inbound-vip|outbound)\|.*\.downstream_cx_active$/;

function questionOf({ expect: _, shares: __, ...request }: CaseRequest): Question {
  return { host: request.service ?? 'web', ...request };
}

function check({ answer, received }: Outcome, expect: Expectation, attempts: number, what: string): void {
  const isEchoed = received.some((r) => answer.body === `${r.pod}\n`);
  const pod = isEchoed ? answer.body.trim() : undefined;
  assert.equal(answer.status, expect.status ?? 200, what);
  if (expect.pod === undefined) assert.equal(pod && serviceOf(pod), expect.to, what);
  else assert.equal(pod, expect.pod, what);
  const { mirrored = [] } = expect;
  assert.equal(received.length, attempts + mirrored.length, what);
  for (const service of mirrored)
    assert.ok(
      received.some((r) => serviceOf(r.pod) === service),
      what,
    );
  const theirs = received.findLast((r) => r.pod === pod);
  const { protocol, path, host, body, headers = {} } = expect.received ?? {};
  if (protocol !== undefined) assert.equal(theirs?.protocol, protocol, what);
  if (path !== undefined) assert.equal(theirs?.path, path, what);
  if (host !== undefined) assert.equal(theirs?.authority, host, what);
  if (body !== undefined) assert.equal(theirs?.body, body, what);
  hasLines(theirs?.headers ?? [], headers, what);
  hasLines(answer.headers, expect.response ?? {}, what);
  hasLines(answer.trailers, expect.trailers ?? {}, what);
  if (expect.body !== undefined) assert.equal(answer.body, expect.body, what);
}

/** Repeated headers count as one, joined. */
function hasLines(lines: readonly string[], wanted: Readonly<Record<string, string | null>>, what: string): void {
  for (const [name, value] of Object.entries(wanted)) {
    assert.equal(textOf(lines, name) ?? null, value, `${what}: ${name}`);
  }
}
