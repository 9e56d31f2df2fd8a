/**
 * Messages that two parsers could read differently: each gets the answer that the tables say, and nginx, Apache and HAProxy behind the waypoint
 * saw the requests that the waypoint says it forwarded, no other and no more. What we forward, Envoy forwards, too.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { until } from '../../../../common/testing/until.ts';
import { skipWithoutEnvoy } from '../../../harness/envoy.ts';
import { skipWithoutOrigins } from '../../../harness/origins.ts';
import { askHttp2 } from './ask-http2.ts';
import { Garden, originNames } from './garden.ts';
import { http1Cases } from './http1-cases.ts';
import { http2Cases } from './http2-cases.ts';

/** A path of its own for each case, of three characters. */
const tag = (i: number) => String(i).padStart(3, '0');
const tag2 = (i: number) => `h${String(i).padStart(2, '0')}`;

describe('smuggling', { skip: skipWithoutOrigins() || skipWithoutEnvoy() }, () => {
  let ours: Garden;
  let envoy: Garden;
  before(async () => {
    [ours, envoy] = await Promise.all([Garden.start('ours'), Garden.start('envoy')]);
  });
  after(() => Promise.all([ours[Symbol.asyncDispose](), envoy[Symbol.asyncDispose]()]));

  for (const [i, { name, bytes, answers, notEnvoy }] of http1Cases.entries()) {
    it(name, async () => {
      const sent = bytes.replaceAll('TAG', tag(i));
      const count = answers.filter((status) => status >= 200).length;
      for (const origin of originNames) assert.deepEqual(await ours.ask(origin, sent, count), answers, origin);
      if (notEnvoy === undefined && answers.includes(200)) {
        assert.deepEqual(await envoy.ask('nginx', sent, count), answers, 'Envoy');
      }
    });
  }

  for (const [i, { name, frames, answer }] of http2Cases.entries()) {
    it(`from HTTP/2: ${name}`, async () => {
      const sent = frames(tag2(i));
      for (const origin of originNames) assert.equal(await askHttp2(ours.port(origin), sent), answer, origin);
      if (answer === 200) assert.equal(await askHttp2(envoy.port('nginx'), sent), answer, 'Envoy');
    });
  }

  for (const name of originNames) {
    it(`${name} saw what the waypoint forwarded`, async (t) => {
      const last = 'GET /last';
      await ours.ask(name, `${last} HTTP/1.1\r\nHost: a\r\n\r\n`, 1);
      const origin = ours.origins.find((o) => o.name === name)!;
      await until(`the last request at ${name}`, () => origin.seen.includes(last));
      await until('the last request in the log', () => ours.forwarded(name).whole.includes(last));
      const { whole, broken } = ours.forwarded(name);
      const seen = without(origin.seen, broken);
      t.diagnostic(`${whole.length} requests forwarded in full, ${seen.length} seen; ${broken.length} broken off`);
      assert.deepEqual([...seen].sort(), [...whole].sort());
    });
  }
});

/** Each of `those` is left out once. */
function without(all: readonly string[], those: readonly string[]): readonly string[] {
  const left = [...all];
  for (const one of those) {
    const at = left.indexOf(one);
    if (at >= 0) left.splice(at, 1);
  }
  return left;
}
