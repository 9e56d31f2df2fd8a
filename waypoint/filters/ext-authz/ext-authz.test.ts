import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkFields } from '../../../common/envoy/fields.ts';
import { envoyMessage } from '../../../common/envoy/protos.ts';
import { Headers } from '../../request/headers.ts';
import type { RequestView, ResponseView } from '../../request/view.ts';
import { FakeCaller, filterEnvironment } from '../../testing/filter-environment.ts';
import { type ViewParts, view } from '../../testing/view.ts';
import type { GrpcAnswer, HttpAnswer } from '../caller.ts';
import type { FilterContext, Verdict } from '../filter.ts';
import { extAuthzFilter } from './filter.ts';
import { grpcOutcome } from './grpc.ts';
import { editQuery } from './outcome.ts';
import { sanitize } from './request.ts';

const http = { http_service: { server_uri: { uri: 'http://x', cluster: 'authz', timeout: { seconds: 1 } } } };
const grpc = { grpc_service: { envoy_grpc: { cluster_name: 'authz' } } };

function asked(config: object, parts: ViewParts = {}, bodyless = true) {
  const caller = new FakeCaller();
  const made = checkFields(config, 'ExtAuthz', (f) => extAuthzFilter.read(f, filterEnvironment(caller)));
  if (made.kind !== 'ok') throw new Error(made.reason);
  const counted: string[] = [];
  let kept: unknown;
  const context = {
    bodyless,
    perRoute: [],
    dice: { random: () => 0 },
    format: { request: view(), facts: { startTime: 0 } },
    count: (name: string) => counted.push(name),
    countOfCluster: () => undefined,
    chargeCluster: () => undefined,
    setMetadata: () => undefined,
    clearRoute: () => counted.push('route cleared'),
    remember: (value: unknown) => {
      kept = value;
    },
    recall: () => kept,
  } as unknown as FilterContext;
  const request = view(parts);
  let told: Verdict | undefined;
  const verdict = made.value.onRequest(request, context);
  const run = (v: Verdict) => {
    if (v.kind === 'ask')
      return v.ask((next) => {
        told = next;
      });
    told = v;
    return () => undefined;
  };
  return { caller, verdict, run, counted, request, context, filter: made.value, told: () => told };
}

const answer = (status: number, headers: [string, string][] = []): HttpAnswer => {
  return { kind: 'answered', status, headers: Headers.of(headers), body: Buffer.from('b'), trailers: new Headers() };
};

/** Of a service over HTTP that answers so. */
function concluded(
  config: object,
  with_: HttpAnswer,
  parts: ViewParts = {},
): {
  readonly verdict: Verdict;
  readonly request: RequestView;
  readonly counted: readonly string[];
} {
  const one = asked({ ...http, ...config }, parts);
  one.run(one.verdict);
  one.caller.httpCalls[0]!.answer(with_);
  return { verdict: one.told()!, request: one.request, counted: one.counted };
}

const failed: HttpAnswer = { kind: 'failed', cause: 'timeout', detail: 'late' };

describe('ext_authz', () => {
  it('refuses where nobody decides, unless it is declared open', () => {
    const closed = concluded({}, failed);
    assert.partialDeepStrictEqual(closed.verdict, {
      kind: 'reply',
      status: 403,
      details: 'ext_authz_error',
      flag: 'UAEX',
    });
    assert.deepEqual(closed.counted, ['ext_authz.error']);
    const open = concluded({ failure_mode_allow: true, failure_mode_allow_header_add: true }, answer(500));
    assert.equal(open.verdict.kind, 'continue');
    assert.equal(open.request.headers.get('x-envoy-auth-failure-mode-allowed'), 'true');
    assert.deepEqual(open.counted, ['ext_authz.error', 'ext_authz.failure_mode_allowed']);
  });

  it('waits for the service as long as its timeout says, 200 ms by default', () => {
    const one = asked(grpc);
    one.run(one.verdict);
    assert.equal(one.caller.grpcCalls[0]!.call.timeout, 200);
    const other = asked(http);
    const stop = other.run(other.verdict);
    assert.equal(other.caller.httpCalls[0]!.call.timeout, 1_000);
    stop();
    assert.equal(other.caller.httpCalls[0]!.cancelled, true);
  });

  it('lets a service write no line into a request or an answer', () => {
    const takes = {
      ...http.http_service,
      authorization_response: { allowed_upstream_headers: { patterns: [{ prefix: 'x' }, { prefix: ':' }] } },
    };
    for (const [name, value] of [
      ['x-a', 'b\r\nx-b: c'],
      ['x-a', 'b\nc'],
      ['x-a', 'b\0'],
      ['x a', 'b'],
      ['x:a', 'b'],
    ] as const) {
      const { verdict, counted } = concluded({ http_service: takes }, answer(200, [[name, value]]));
      assert.partialDeepStrictEqual(
        verdict,
        { kind: 'reply', status: 500, details: 'ext_authz_invalid' },
        JSON.stringify([name, value]),
      );
      assert.deepEqual(counted, ['ext_authz.invalid']);
    }
    const path = concluded({ http_service: takes }, answer(200, [[':path', '/a HTTP/1.1']]));
    assert.partialDeepStrictEqual(path.verdict, { status: 500 });
  });

  it('keeps a request from losing what makes it one', () => {
    const { verdict, request } = concluded(
      {},
      answer(200, [['x-envoy-auth-headers-to-remove', 'host,:path,:method,X-Gone']]),
      { headers: { 'x-gone': '1', 'x-stays': '2' } },
    );
    assert.equal(verdict.kind, 'continue');
    assert.deepEqual([...request.headers], [['x-stays', '2']]);
    assert.deepEqual([request.path, request.authority], ['/', 'a.example']);
  });

  it('asks with the body where it is told to, and refuses one that is too long before it asks', () => {
    const config = { ...http, with_request_body: { max_request_bytes: 3 } };
    const one = asked(config, { method: 'POST' }, false);
    assert.equal(one.verdict.kind, 'body');
    if (one.verdict.kind !== 'body') return;
    assert.equal(one.verdict.most, 3);
    assert.partialDeepStrictEqual(one.verdict.then(Buffer.from('1234'), false), { status: 413 });
    one.run(one.verdict.then(Buffer.from('123'), true));
    assert.equal(String(one.caller.httpCalls[0]!.call.body), '123');
    assert.equal(asked(config, {}, true).verdict.kind, 'ask');
  });

  it('adds to the answer what the service says, once the host has answered', () => {
    const one = asked({
      http_service: {
        ...http.http_service,
        authorization_response: { allowed_client_headers_on_success: { patterns: [{ exact: 'x-out' }] } },
      },
    });
    one.run(one.verdict);
    one.caller.httpCalls[0]!.answer(
      answer(200, [
        ['x-out', 'o'],
        ['x-other', 'p'],
      ]),
    );
    const response: ResponseView = { status: 200, headers: new Headers() };
    one.filter.onResponse!(one.request, response, one.context);
    assert.deepEqual([...response.headers], [['x-out', 'o']]);
  });

  it('takes whatever a service of gRPC answers for a verdict or an error', () => {
    const type = envoyMessage('envoy.service.auth.v3.CheckResponse')!;
    const outcome = (message: object) =>
      grpcOutcome({ kind: 'answered', message: Buffer.from(type.encode(type.fromObject(message)).finish()) });
    // Without a status it is OK, as Envoy reads it.
    assert.equal(outcome({}).kind, 'ok');
    assert.partialDeepStrictEqual(outcome({ status: { code: 7 } }), { kind: 'denied', status: 403, body: '' });
    assert.equal(outcome({ status: { code: 7 }, ok_response: {} }).kind, 'denied');
    const kinds = new Set(['ok', 'denied', 'error']);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) =>
        kinds.has(grpcOutcome({ kind: 'answered', message: Buffer.from(bytes) }).kind),
      ),
    );
    for (const answered of [{ kind: 'status', code: 14, text: '' }, failed] as readonly GrpcAnswer[])
      assert.equal(grpcOutcome(answered).kind, 'error');
  });

  it('replaces bytes that are no UTF-8, each by one sign', () => {
    const decoder = new TextDecoder('utf8', { fatal: true });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        const text = sanitize(Buffer.from(bytes));
        assert.equal(Buffer.byteLength(text), bytes.length);
        try {
          assert.equal(text, decoder.decode(bytes));
        } catch {
          assert.ok(text.includes('!'));
        }
      }),
    );
    assert.equal(sanitize(Buffer.from('c0afe28228eda080f490808061c3a9', 'hex')), '!!!!(!!!!!!!aé');
  });

  it('sets and removes query parameters, and leaves a path alone that nothing changes', () => {
    assert.equal(editQuery('/a?z=1&b', { set: [], remove: [] }), '/a?z=1&b');
    assert.equal(editQuery('/a?z=1&b&z=2', { set: [['c', '3']], remove: [] }), '/a?b=&c=3&z=1&z=2');
    assert.equal(editQuery('/a?z=1', { set: [], remove: ['z'] }), '/a');
    assert.equal(editQuery('/a', { set: [['z', '']], remove: [] }), '/a?z=');
  });

  for (const [what, config, reason] of [
    ['no service', {}, /services: is neither/],
    ["Google's gRPC client", { grpc_service: { google_grpc: { target_uri: 'x' } } }, /google_grpc: is not supported/],
    ['a body of no bytes', { ...http, with_request_body: {} }, /max_request_bytes: must be more than 0/],
    [
      'rules on mutations',
      { ...http, decoder_header_mutation_rules: {} },
      /decoder_header_mutation_rules: is not supported/,
    ],
    ['certificates', { ...grpc, include_peer_certificate: true }, /include_peer_certificate: is not supported/],
  ] as const) {
    it(`refuses ${what} by name`, () => {
      const made = checkFields(config, 'ExtAuthz', (f) => extAuthzFilter.read(f, filterEnvironment()));
      assert.match(made.kind === 'rejected' ? made.reason : 'taken', reason);
    });
  }
});
