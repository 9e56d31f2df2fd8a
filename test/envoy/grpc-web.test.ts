/** gRPC-Web in Envoy and in ours, byte by byte. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { typeUrl } from '../../common/envoy/codec.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { Bodies, type Question } from './bodies.ts';

const web = { name: 'web', typed_config: { '@type': typeUrl('envoy.extensions.filters.http.grpc_web.v3.GrpcWeb') } };
const refusing = {
  name: 'rbac',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBAC'), rules: { action: 'ALLOW' } },
};

function frame(text: string): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(text.length, 1);
  return Buffer.concat([prefix, Buffer.from(text)]);
}

const bytes = frame('hello');
const text = bytes.toString('base64');
const grpc = { 'content-type': 'application/grpc+proto' };
const fine = { headers: grpc, chunks: [bytes, frame(''), frame('more')], trailers: { 'grpc-status': '0', 'x-t': 'a' } };
const ask = (type: string, more: Question = {}): Question => ({
  path: '/a.B/C',
  headers: { 'content-type': type, accept: type },
  chunks: [type.includes('text') ? text : bytes],
  answer: fine,
  ...more,
});
const both = (type: string, more: Question = {}): readonly Question[] =>
  (['http1', 'http2'] as const).map((by) => ask(type, { ...more, by }));
const types = ['application/grpc-web', 'application/grpc-web+proto', 'application/grpc-web-text+proto'];
const webText = 'application/grpc-web-text';

describe('gRPC-Web as in Envoy', { skip: skipWithoutEnvoy() }, () => {
  let bodies: Bodies;
  before(async () => {
    bodies = await Bodies.start([
      { name: 'web', filters: [web], upstream: 'http2' },
      { name: 'refused', filters: [web, refusing], upstream: 'http2' },
    ]);
  });
  after(() => bodies[Symbol.asyncDispose]());

  it('is translated both ways, binary and text', async () => {
    await bodies.compare(
      'web',
      [...types, webText].flatMap((type) => both(type)),
    );
    await bodies.compare('web', [
      ask('application/grpc-web', { headers: { 'content-type': 'application/grpc-web', accept: webText } }),
      ask(webText, { headers: { 'content-type': webText, accept: '*/*', 'grpc-accept-encoding': 'gzip', te: 'x' } }),
      ask('application/grpc-web+json'),
      ask('application/json'),
      ask('application/grpc', { by: 'http2' }),
    ]);
  });

  it('cuts text wherever it came', async () => {
    const cuts = [1, 2, 3, 5, 7].map((n) => ask(webText, { chunks: [text.slice(0, n), text.slice(n)] }));
    await bodies.compare('web', cuts);
    const split = [bytes.subarray(0, 2), bytes.subarray(2, 6), bytes.subarray(6)];
    await bodies.compare('web', [ask(webText, { answer: { ...fine, chunks: split } })]);
  });

  it('refuses what is no base64', async () => {
    await bodies.compare(
      'web',
      ['AAAA*AAA', 'AAAAA', 'A', '====', 'AAA\u0000'].map((bad) => ask(webText, { chunks: [bad] })),
      ({ received: _received, ...outcome }) => outcome,
    );
  });

  it('turns other answers into a status', async () => {
    const answers: readonly NonNullable<Question['answer']>[] = [
      { status: 503, headers: { 'content-type': 'text/plain' }, chunks: ['no 100% \n of it'] },
      { status: 404, headers: { 'content-type': 'text/plain' } },
      { status: 200, headers: { 'content-type': 'text/html' }, chunks: ['<p>'] },
      { status: 200, headers: grpc, trailers: { 'grpc-status': '13' } },
    ];
    await bodies.compare(
      'web',
      answers.flatMap((answer) => types.map((type) => ask(type, { answer }))),
    );
  });

  it('tells refusals of other filters, too', async () => {
    await bodies.compare('refused', [...types.map((type) => ask(type)), ask('application/grpc', { by: 'http2' })]);
  });

  it('counts', async () => {
    const { envoy, ours } = await bodies.stats(/grpc-web/);
    assert.deepEqual(ours, envoy);
    assert.ok(envoy.length > 0);
  });
});
