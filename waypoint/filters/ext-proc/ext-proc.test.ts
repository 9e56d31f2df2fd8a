/** What an external processor cannot do to its filter; what it may do is compared with Envoy's in test/envoy. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { checkFields } from '../../../common/envoy/fields.ts';
import { envoyMessage } from '../../../common/envoy/protos.ts';
import { Headers } from '../../request/headers.ts';
import type { ResponseView } from '../../request/view.ts';
import { FakeCaller, filterEnvironment } from '../../testing/filter-environment.ts';
import { view } from '../../testing/view.ts';
import type { FilterContext } from '../filter.ts';
import type { Onward } from '../stream.ts';
import { extProcFilter } from './filter.ts';

type Json = Readonly<Record<string, unknown>>;

const service = { grpc_service: { envoy_grpc: { cluster_name: 'proc' } } };
const modes = (body: string) => ({
  request_body_mode: body,
  response_body_mode: body,
  request_trailer_mode: 'SEND',
  response_trailer_mode: 'SEND',
});

class FakeOnward implements Onward {
  readonly isFull = false;
  readonly told: string[] = [];
  readonly replies: number[] = [];
  bytes = 0;
  isPaused = false;

  head(ended: boolean): void {
    this.told.push(ended ? 'whole' : 'head');
  }

  data(chunk: Buffer): void {
    this.told.push('data');
    this.bytes += chunk.length;
  }

  end(): void {
    this.told.push('end');
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  reply(reply: { readonly status: number }): void {
    this.told.push('reply');
    this.replies.push(reply.status);
  }
}

function opened(config: Json) {
  const caller = new FakeCaller();
  const read = checkFields({ ...service, ...config }, 'ExternalProcessor', (f) =>
    extProcFilter.read(f, filterEnvironment(caller)),
  );
  if (read.kind !== 'ok') throw new Error(read.reason);
  const counted: string[] = [];
  const context = {
    perRoute: [],
    format: { request: view(), facts: { startTime: 0 } },
    count: (name: string) => counted.push(name),
    setMetadata: () => undefined,
    clearRoute: () => undefined,
  } as unknown as FilterContext;
  const verdict = read.value.onRequest(view(), context);
  assert.equal(verdict.kind, 'stream');
  const [request, response] = [new FakeOnward(), new FakeOnward()];
  const participant = verdict.kind === 'stream' ? verdict.open(request, response) : {};
  return { caller, participant, request, response, counted, says: (message: Json) => say(caller, message) };
}

function say(caller: FakeCaller, message: Json): void {
  const type = envoyMessage('envoy.service.ext_proc.v3.ProcessingResponse')!;
  caller.streams[0]?.events.message(Buffer.from(type.encode(type.fromObject(message)).finish()));
}

const chunk = Buffer.alloc(65_536);
const answers: readonly Json[] = [
  { request_headers: {} },
  { request_headers: { response: { status: 1, body_mutation: { body: Buffer.from('x') } } } },
  { request_body: {} },
  { request_body: { response: { body_mutation: { clear_body: true } } } },
  { request_trailers: {} },
  { response_headers: {} },
  { response_headers: { response: { status: 1 } } },
  { response_body: { response: { body_mutation: { body: Buffer.from('y') } } } },
  { response_trailers: {} },
  { immediate_response: { status: { code: 403 } } },
  { override_message_timeout: { seconds: 1 } },
  { request_headers: {}, mode_override: { request_body_mode: 1, response_body_mode: 2 } },
  {},
];
const events = ['data', 'end', 'trailers', 'answer head', 'answer data', 'answer end', 'closed', 'failed'] as const;

describe('external processing', () => {
  it('names what it does not honour', () => {
    const refused: readonly (readonly [Json, RegExp])[] = [
      [{ processing_mode: { request_body_mode: 'FULL_DUPLEX_STREAMED' } }, /request_body_mode: FULL_DUPLEX_STREAMED/],
      [{ processing_mode: { response_body_mode: 'GRPC' } }, /response_body_mode: GRPC/],
      [{ observability_mode: true }, /observability_mode/],
      [{ http_service: {} }, /http_service/],
      [{ send_body_without_waiting_for_header_response: true }, /send_body_without_waiting_for_header_response/],
      [{ grpc_service: { google_grpc: {} } }, /google_grpc/],
      [{ metadata_options: { forwarding_namespaces: { typed: ['a'] } } }, /forwarding_namespaces\.typed/],
      [{ mutation_rules: { allow_expression: { regex: '(' } } }, /allow_expression\.regex/],
      [{ request_attributes: ['a ('] }, /request_attributes/],
      [{ message_timeout: { seconds: 3_601 } }, /message_timeout/],
    ];
    for (const [config, reason] of refused) {
      const read = checkFields({ ...service, ...config }, 'ExternalProcessor', (f) =>
        extProcFilter.read(f, filterEnvironment(new FakeCaller())),
      );
      assert.match(read.kind === 'rejected' ? read.reason : 'taken', reason);
    }
  });

  it('holds back who sends more than the service answers', () => {
    for (const body of ['STREAMED', 'BUFFERED_PARTIAL']) {
      const one = opened({ processing_mode: modes(body) });
      one.participant.request!.head!(false);
      one.says({ request_headers: {} });
      for (let i = 0; i < 20; i++) one.participant.request!.data!(chunk);
      assert.equal(one.request.isPaused, true, body);
      assert.equal(one.request.bytes, 0);
      while (one.caller.streams[0]!.sent.length > one.counted.filter((name) => name.endsWith('received')).length)
        one.says({ request_body: {} });
      assert.equal(one.request.isPaused, false);
      assert.equal(one.request.bytes, 20 * chunk.length);
      one.participant.closed!();
    }
  });

  it('refuses a body that is too long to be kept', () => {
    const one = opened({ processing_mode: modes('BUFFERED') });
    one.participant.request!.head!(false);
    one.says({ request_headers: {} });
    for (let i = 0; i < 17; i++) one.participant.request!.data!(chunk);
    assert.deepEqual(one.request.replies, [413]);
    assert.equal(one.caller.streams[0]!.isClosed, true);
  });

  it('lets nothing by that the service has not seen, where it fails', () => {
    const one = opened({});
    one.participant.request!.head!(false);
    one.participant.request!.data!(chunk);
    one.caller.streams[0]!.events.closed(14, 'away');
    assert.deepEqual(one.request.told, ['reply']);
    assert.deepEqual(one.request.replies, [500]);
    const garbage = opened({ status_on_error: { code: 'BadGateway' } });
    garbage.participant.request!.head!(true);
    garbage.caller.streams[0]!.events.message(Buffer.from([0xff, 0xff, 0xff]));
    assert.deepEqual(garbage.request.replies, [502]);
  });

  it('lets a service write no line into a message, and take nothing from it that it needs', () => {
    const bad = [
      { header: { key: 'x-a', raw_value: Buffer.from('b\r\nx-c: d') } },
      { header: { key: 'x a', raw_value: Buffer.from('b') } },
      { header: { key: ':path', raw_value: Buffer.from('/ HTTP/1.1') } },
      { header: { key: ':nothing', raw_value: Buffer.from('x') } },
    ];
    for (const setting of bad) {
      const one = opened({});
      one.participant.request!.head!(true);
      one.says({ request_headers: { response: { header_mutation: { set_headers: [setting] } } } });
      assert.deepEqual(one.request.told, ['reply'], setting.header.key);
    }
    const one = opened({});
    const response: ResponseView = { status: 200, headers: new Headers() };
    one.participant.response!.head!(response, true);
    const status = [{ header: { key: ':status', raw_value: Buffer.from('101') } }];
    one.says({ response_headers: { response: { header_mutation: { set_headers: status } } } });
    assert.deepEqual(one.response.told, ['reply']);
  });

  it('ends its stream with the exchange', () => {
    const one = opened({});
    one.participant.request!.head!(true);
    assert.equal(one.caller.streams[0]!.isClosed, false);
    one.participant.closed!();
    assert.equal(one.caller.streams[0]!.isClosed, true);
  });

  it('gives on each message once and in order, whatever a service says whenever', () => {
    const step = fc.oneof(fc.constantFrom(...events), fc.nat(answers.length - 1));
    fc.assert(
      fc.property(
        fc.constantFrom('NONE', 'STREAMED', 'BUFFERED', 'BUFFERED_PARTIAL'),
        fc.record({ allow_mode_override: fc.boolean(), failure_mode_allow: fc.boolean() }),
        fc.array(step, { maxLength: 30 }),
        (body, flags, steps) => {
          const one = opened({ processing_mode: modes(body), ...flags });
          const { participant, request, response } = one;
          let [isEnded, hasAnswer, isAnswered] = [false, false, false];
          const isReplied = () => request.replies.length + response.replies.length > 0;
          participant.request!.head!(false);
          for (const what of steps) {
            if (isReplied()) break;
            if (typeof what === 'number') one.says(answers[what]!);
            else if (what === 'closed') one.caller.streams[0]?.events.closed(0, '');
            else if (what === 'failed') one.caller.streams[0]?.events.closed(13, '');
            else if (what === 'data' && !isEnded) participant.request!.data!(chunk);
            else if ((what === 'end' || what === 'trailers') && !isEnded) {
              isEnded = true;
              participant.request!.end!(what === 'end' ? undefined : Headers.of([['x-t', '1']]));
            } else if (what === 'answer head' && !hasAnswer) {
              hasAnswer = true;
              participant.response!.head!({ status: 200, headers: new Headers() }, false);
            } else if (what === 'answer data' && hasAnswer && !isAnswered) participant.response!.data!(chunk);
            else if (what === 'answer end' && hasAnswer && !isAnswered) {
              isAnswered = true;
              participant.response!.end!(undefined);
            }
          }
          participant.closed!();
          const told = request.told.join(' ');
          const back = response.told.join(' ');
          const order = /^(whole|head( data)*( end)?)?( ?reply)?$/;
          assert.match(told, order);
          assert.match(back, order);
          assert.ok(request.replies.length + response.replies.length <= 1);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
