/** header_key_format, towards callers and towards servers, in Envoy and in ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Engines } from './engines.ts';

const proper = { http_protocol_options: { header_key_format: { proper_case_words: {} } } };

describe('names of headers', { skip: skipWithoutEnvoy() }, () => {
  it('are written as asked for', async () => {
    await using engines = await Engines.start(() => [
      { name: 'down', manager: proper },
      { name: 'up', cluster: proper },
    ]);
    const headers = { 'x-my_own-header': 'a', 'X-2nd': 'b' };
    const [envoy, ours] = await engines.ask('down', '/200;x-of-server=1', { headers });
    assert.deepEqual(ours.names.toSorted(), envoy.names.toSorted());
    assert.ok(ours.names.includes('X-Of-Server'));
    const received = (await engines.ask('up', '/200', { headers })).map(({ body }) => {
      return (JSON.parse(body) as readonly string[]).filter((_, i) => i % 2 === 0).toSorted();
    });
    assert.deepEqual(received[1], received[0]);
    assert.ok(received[1]!.includes('Host'));
  });
});
