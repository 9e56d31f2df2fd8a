/** What no request is has its line in the access log, in Envoy and in ours. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Engines, logTo } from './engines.ts';

const format =
  '%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT% %REQ(X-A)%';
const head = 'POST / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n';
const sent: Readonly<Record<string, string>> = {
  line: 'GE T / HTTP/1.1\r\nHost: a\r\n\r\n',
  large: `GET / HTTP/1.1\r\nHost: a\r\nX-A: ${'x'.repeat(70_000)}\r\n\r\n`,
  old: 'GET / HTTP/1.0\r\nHost: a\r\n\r\n',
  smuggled: `${head}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
  chunk: `POST /stall HTTP/1.1\r\nHost: a\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n`,
  coding: `${head}Transfer-Encoding: gzip\r\n\r\n`,
};

describe('what is no request', { skip: skipWithoutEnvoy() }, () => {
  it('is logged by ours as by Envoy', async () => {
    await using engines = await Engines.start((log) =>
      Object.keys(sent).map((name) => ({ name, manager: { access_log: [logTo(log, `${name} ${format}`)] } })),
    );
    await Promise.all(Object.entries(sent).map(([name, bytes]) => engines.raw(name, bytes)));
    const [envoy, ours] = await engines.lines();
    assert.equal(envoy.length, Object.keys(sent).length);
    assert.deepEqual(ours, envoy);
  });
});
