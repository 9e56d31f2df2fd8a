import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Ip, Port } from '../../common/core/net.ts';
import { socketKinds } from '../control/messages.ts';
import { type ListenerOptions, planListeners, socketSpec } from './listeners.ts';

const options: ListenerOptions = {
  mark: 1337,
  ipv6: true,
  proxy: true,
  dnsProxy: true,
  dnsAddress: { kind: 'localhost', port: 15053 as Port },
  socks5: false,
  portReuse: true,
  keepAlive: undefined,
  userTimeout: undefined,
};

test('steered listeners are on loopback, on any port, unmarked, both families', () => {
  const plans = planListeners('steered', { ...options, ipv6: false, dnsProxy: false });
  assert.equal(plans.length, 10);
  for (const { family, spec } of plans) {
    assert.equal(spec.bind?.ip, family === 4 ? '127.0.0.1' : '::1');
    assert.equal(spec.bind?.port, 0);
    assert.equal(spec.mark, undefined);
  }
});

test('fixed listeners have the ports that Istio redirects to', () => {
  const text = (o: Partial<ListenerOptions>) =>
    planListeners('fixed', { ...options, ...o }).map(
      ({ role, spec }) => `${role} ${spec.type} ${spec.bind?.ip} ${spec.bind?.port}`,
    );
  assert.deepEqual(text({}), [
    'outbound stream :: 15001',
    'plaintext stream :: 15006',
    'hbone stream :: 15008',
    'dnsTcp stream 127.0.0.1 15053',
    'dnsUdp dgram 127.0.0.1 15053',
    'dnsTcp stream ::1 15053',
    'dnsUdp dgram ::1 15053',
  ]);
  assert.deepEqual(text({ ipv6: false, dnsProxy: false }), [
    'outbound stream 0.0.0.0 15001',
    'plaintext stream 0.0.0.0 15006',
    'hbone stream 0.0.0.0 15008',
  ]);
  assert.deepEqual(text({ proxy: false, dnsAddress: { kind: 'address', ip: '127.0.0.2' as Ip, port: 5353 as Port } }), [
    'dnsTcp stream 127.0.0.2 5353',
    'dnsUdp dgram 127.0.0.2 5353',
  ]);
  for (const { spec } of planListeners('fixed', options)) {
    assert.equal(spec.mark, 1337);
    assert.equal(spec.reusePort, true);
    assert.equal(spec.takeOver, true);
  }
  assert.equal(planListeners('fixed', options)[0]!.spec.v6Only, false);
});

test('SOCKS has its own port of loopback in both modes', () => {
  for (const mode of ['steered', 'fixed'] as const) {
    const without = planListeners(mode, options).length;
    const plans = planListeners(mode, { ...options, socks5: true });
    assert.equal(plans.length, without + 1);
    const { role, family, spec } = plans.at(-1)!;
    assert.deepEqual([role, family, spec.bind], ['socks5', 4, { ip: '127.0.0.1', port: 15_080 }]);
    assert.equal(spec.mark, mode === 'fixed' ? 1337 : undefined);
  }
});

test('a steered pod marks only the socket that speaks for the client; its own mark is how Istio tells ours', () => {
  for (const kind of socketKinds) {
    assert.equal(socketSpec(kind, 'fixed', options).mark, 1337, kind);
    assert.equal(socketSpec(kind, 'steered', options).mark, kind.startsWith('inbound') ? 0x111 : undefined, kind);
    assert.equal(socketSpec(kind, 'steered', options).transparent ?? false, kind.startsWith('inbound'), kind);
    assert.equal(socketSpec(kind, 'steered', options).family, kind.endsWith('6') ? 6 : 4);
  }
});

test('the own pod takes HBONE and nothing else', () => {
  const plans = planListeners('self', options);
  assert.deepEqual(
    plans.map(({ role, spec }) => [role, spec.bind?.port, spec.mark, spec.transparent]),
    [['hbone', 15008, undefined, undefined]],
  );
});

test('our agent captures everything, so there is no DNS alone under it', () => {
  assert.throws(() => planListeners('steered', { ...options, proxy: false }), /ENABLE_PROXY=false/);
});

test('what waits for silent peers is on the outbound listener and on dialled sockets', () => {
  const patient = { ...options, keepAlive: { idle: 1, interval: 2, probes: 3 }, userTimeout: 7_000 };
  for (const { role, spec } of planListeners('fixed', patient)) {
    assert.equal(spec.userTimeout, role === 'outbound' ? 7_000 : undefined, role);
  }
  for (const kind of socketKinds) {
    const { userTimeout, keepAlive } = socketSpec(kind, 'fixed', patient);
    assert.deepEqual([userTimeout, keepAlive?.probes], kind.startsWith('dns') ? [undefined, undefined] : [7_000, 3]);
  }
});
