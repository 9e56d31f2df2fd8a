import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import type { Fd } from '../../common/core/brand.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { Port, SocketAddr } from '../../common/core/net.ts';
import { ip } from '../../common/testing/builders.ts';
import { type ConnectTools, connectToApp } from './connect.ts';
import type { ProxiedPod } from './pod.ts';

const client = ip('10.0.0.9');
const app: SocketAddr = { ip: ip('10.0.0.1'), port: 8080 as Port };
const { signal } = new AbortController();

/** Sockets are numbers from 1 on; `dials` answers one dial after another, then all succeed. */
function bench(over: {
  readonly originalSource?: ConnectTools['originalSource'];
  readonly bind?: () => void;
  readonly dials?: readonly MeshError[];
}) {
  const did: string[] = [];
  const warned: string[] = [];
  const failures = [...(over.dials ?? [])];
  let next = 1;
  const pod: Pick<ProxiedPod, 'uid' | 'socket'> = {
    uid: 'u1',
    socket(kind) {
      did.push(`${next}=${kind}`);
      return next++ as Fd;
    },
  };
  const tools: ConnectTools = {
    async dial(fd, _to, _signal, timeout) {
      did.push(`dial ${fd} ${timeout}`);
      const failure = failures.shift();
      if (failure) throw failure;
      return new Socket();
    },
    bindSocket(fd, address) {
      did.push(`bind ${fd} ${address.ip}`);
      over.bind?.();
    },
    closeFd: (fd) => void did.push(`close ${fd}`),
    originalSource: over.originalSource ?? 'auto',
    sourceLost: (uid, error) => void warned.push(`${uid}: ${error.message}`),
  };
  const call = (from = client) => connectToApp(pod as ProxiedPod, from, app, tools, signal);
  return { call, did, warned };
}

function cannotBind(): never {
  throw Object.assign(new Error('bind: EPERM'), { code: 'EPERM' });
}

test('a collision of port numbers is tried once more with another socket', async () => {
  const silence = new MeshError('CONNECT_TIMEOUT', 'silence');
  const { call, did } = bench({ dials: [silence] });
  await call();
  assert.deepEqual(did, [
    '1=inbound4',
    'bind 1 10.0.0.9',
    'dial 1 3000',
    '2=inbound4',
    'bind 2 10.0.0.9',
    'dial 2 7000',
  ]);
  await assert.rejects(bench({ dials: [silence, silence] }).call(), /silence/);
  await assert.rejects(bench({ dials: [new MeshError('CONNECT_FAILED', 'refused')] }).call(), /refused/);
});

test("auto uses the pod's own address where the client's cannot be bound, and says so", async () => {
  const { call, did, warned } = bench({ bind: cannotBind });
  await call();
  assert.deepEqual(did, ['1=inbound4', 'bind 1 10.0.0.9', 'close 1', '2=outbound4', 'dial 2 10000']);
  assert.deepEqual(warned, ['u1: bind: EPERM']);
});

test("always refuses where the client's address cannot be bound, and leaks no socket", async () => {
  const { call, did } = bench({ bind: cannotBind, originalSource: 'always' });
  await assert.rejects(call(), /client's address 10\.0\.0\.9 cannot be used/);
  assert.deepEqual(did, ['1=inbound4', 'bind 1 10.0.0.9', 'close 1']);
});

test("a client of the other family, the pod itself and never: the pod's own address, unasked", async () => {
  for (const [b, from] of [
    [bench({}), ip('fd00::9')],
    [bench({}), app.ip],
    [bench({ originalSource: 'never' }), client],
  ] as const) {
    await b.call(from);
    assert.deepEqual(b.did, ['1=outbound4', 'dial 1 10000']);
    assert.deepEqual(b.warned, []);
  }
});
