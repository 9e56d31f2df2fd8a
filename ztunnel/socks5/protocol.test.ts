import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MeshError } from '../../common/core/errors.ts';
import { ipToBytes, isIpv6 } from '../../common/core/net.ts';
import { anyIp } from '../../common/testing/arbitraries.ts';
import { formatReply, longestGreeting, longestRequest, readGreeting, readRequest, reply, replyTo } from './protocol.ts';

const bytes = (...n: readonly number[]) => Buffer.from(n);
const name = (text: string, port = 80) =>
  Buffer.concat([bytes(5, 1, 0, 3, text.length), Buffer.from(text, 'latin1'), bytes(port >> 8, port & 255)]);

test('a greeting needs the method without authentication', () => {
  assert.deepEqual(readGreeting(bytes(5, 1, 0)), { kind: 'greeting', size: 3 });
  assert.deepEqual(readGreeting(bytes(5, 2, 2, 0, 9)), { kind: 'greeting', size: 4 });
  const refused = readGreeting(bytes(5, 2, 1, 2));
  assert.deepEqual(refused.kind === 'malformed' && refused.answer, bytes(5, 0xff));
  const none = readGreeting(bytes(5, 0));
  assert.deepEqual(none.kind === 'malformed' && none.answer, bytes(5, 0xff));
  for (const other of [bytes(4, 1, 0, 80), Buffer.from('GET / HTTP/1.1'), bytes(0)]) {
    const told = readGreeting(other);
    assert.deepEqual([told.kind, told.kind === 'malformed' && told.answer], ['malformed', undefined]);
  }
});

test('a request by address of both families and by name', () => {
  const rows: readonly [Buffer, string][] = [
    [bytes(5, 1, 0, 1, 10, 0, 0, 1, 0x1f, 0x90), '10.0.0.1:8080'],
    [Buffer.concat([bytes(5, 1, 0, 4), ipToBytes('fd00::1' as never), bytes(0, 80)]), 'fd00::1:80'],
    [Buffer.concat([bytes(5, 1, 0, 4), Buffer.alloc(10), bytes(255, 255, 10, 0, 0, 1, 0, 80)]), '10.0.0.1:80'],
    [name('Web.shop'), 'web.shop:80'],
    [name('web.shop.'), 'web.shop:80'],
    [name('10.0.0.1'), '10.0.0.1:80'],
    [name('fd00::1', 443), 'fd00::1:443'],
  ];
  for (const [request, expected] of rows) {
    const read = readRequest(request);
    assert.ok(read.kind === 'request', expected);
    const { target } = read;
    const text =
      target.kind === 'address' ? `${target.address.ip}:${target.address.port}` : `${target.name}:${target.port}`;
    assert.equal(text, expected);
    assert.equal(read.size, request.length);
  }
});

test('what is no request is refused by its code as soon as that shows', () => {
  const rows: readonly [string, Buffer, number][] = [
    ['another version', bytes(4), reply.failure],
    ['BIND', bytes(5, 2), reply.commandUnknown],
    ['UDP ASSOCIATE', bytes(5, 3, 0, 1), reply.commandUnknown],
    ['a reserved byte', bytes(5, 1, 1), reply.failure],
    ['an address type that is not there', bytes(5, 1, 0, 2), reply.addressTypeUnknown],
    ['port 0', bytes(5, 1, 0, 1, 10, 0, 0, 1, 0, 0), reply.failure],
    ['an empty name', name(''), reply.failure],
    ['a name with a NUL', name('a\0b'), reply.failure],
    ['a name with a line break', name('a\r\nb'), reply.failure],
    ['a name of UTF-8', name('\xc3\xa4.example'), reply.failure],
    ['a name that looks like an address to some', name('127.1'), reply.failure],
    ['a name with a label too long', name(`${'a'.repeat(64)}.example`), reply.failure],
    ['an address with a zone', name('fe80::1%eth0'), reply.failure],
  ];
  for (const [what, request, code] of rows) {
    const read = readRequest(request);
    assert.deepEqual([read.kind, read.kind === 'malformed' && read.code], ['malformed', code], what);
  }
});

test('whatever comes is read, partial, or refused, within the longest message, however it is cut', () => {
  const address = fc.tuple(anyIp, fc.integer({ min: 1, max: 65_535 })).map(([ip, port]) => {
    return Buffer.concat([bytes(5, 1, 0, isIpv6(ip) ? 4 : 1), ipToBytes(ip), bytes(port >> 8, port & 255)]);
  });
  const likely = fc.oneof(
    address,
    fc.uint8Array({ maxLength: 300 }).map((b) => Buffer.from(b)),
    fc
      .tuple(fc.constantFrom(1, 3, 4), fc.uint8Array({ maxLength: 300 }))
      .map(([t, b]) => Buffer.concat([bytes(5, 1, 0, t), b])),
  );
  fc.assert(
    fc.property(likely, fc.uint8Array({ maxLength: 8 }), (message, more) => {
      const whole = readRequest(Buffer.concat([message, more]));
      if (whole.kind === 'partial') assert.ok(message.length + more.length < longestRequest);
      for (let cut = 0; cut < message.length; cut++) {
        const part = readRequest(message.subarray(0, cut));
        if (part.kind !== 'partial') assert.deepEqual(part, whole, `${cut} bytes already say it`);
      }
      const greeting = readGreeting(message);
      if (greeting.kind === 'partial') assert.ok(message.length < longestGreeting);
    }),
  );
  fc.assert(
    fc.property(address, (request) => {
      const read = readRequest(request);
      assert.ok(read.kind === 'request' && read.size === request.length);
    }),
  );
});

test('a failure is told by its kind', () => {
  const failed = (errno: string) =>
    new MeshError('CONNECT_FAILED', 'x', { cause: Object.assign(new Error(), { code: errno }) });
  assert.equal(replyTo(failed('ECONNREFUSED')), reply.refused);
  assert.equal(replyTo(failed('ENETUNREACH')), reply.networkUnreachable);
  assert.equal(replyTo(failed('EHOSTUNREACH')), reply.hostUnreachable);
  assert.equal(replyTo(new MeshError('CONNECT_TIMEOUT', 'x')), reply.hostUnreachable);
  assert.equal(replyTo(new MeshError('LOOP', 'x')), reply.notAllowed);
  assert.equal(replyTo(new MeshError('TUNNEL_REFUSED', 'x')), reply.refused);
  assert.equal(replyTo(new Error('x')), reply.failure);
  assert.deepEqual(formatReply(reply.succeeded), bytes(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
});
