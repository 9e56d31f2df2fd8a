import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { type Answer, decode, encode } from 'dns-packet';
import { systemLookup } from './system-lookup.ts';

/** A name server on loopback; what `answer` returns undefined for does not exist. */
async function nameServer(t: TestContext, answer: (name: string, type: string) => readonly Answer[] | undefined) {
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.on('message', (message, from) => {
    const query = decode(message);
    const [question] = query.questions!;
    const answers = answer(question!.name, question!.type);
    // 0x80: recursion available; NXDOMAIN is code 3.
    const flags = 0x80 | (answers ? 0 : 3);
    socket.send(
      encode({ type: 'response', id: query.id!, flags, questions: [question!], answers: [...(answers ?? [])] }),
      from.port,
      from.address,
    );
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return systemLookup([`127.0.0.1:${socket.address().port}`]);
}

test('both families with their TTLs; one of them is enough', async (t) => {
  const lookup = await nameServer(t, (name, type) => {
    if (type === 'A' && name !== 'six.example') return [{ name, type, ttl: 60, data: '192.0.2.1' }];
    if (type === 'AAAA' && name !== 'four.example') return [{ name, type, ttl: 30, data: '2001:db8::1' }];
    return [];
  });
  const v4 = { ip: '192.0.2.1', ttlSeconds: 60 };
  const v6 = { ip: '2001:db8::1', ttlSeconds: 30 };
  assert.deepEqual(await lookup('dual.example'), [v4, v6]);
  assert.deepEqual(await lookup('four.example'), [v4]);
  assert.deepEqual(await lookup('six.example'), [v6]);
});

test('a name that does not exist, and one without addresses, reject', async (t) => {
  const lookup = await nameServer(t, (name) => (name === 'empty.example' ? [] : undefined));
  await assert.rejects(lookup('none.example'), { code: 'ENOTFOUND' });
  await assert.rejects(lookup('empty.example'), { code: 'ENODATA' });
});
