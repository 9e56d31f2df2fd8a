/** Keys of issuers: what is asked, what is taken, and what holds while nobody answers. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Registry } from 'prom-client';
import { silentLogger } from '../../common/core/log.ts';
import { parseCidr, parseIp } from '../../common/core/net.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { until } from '../../common/testing/until.ts';
import { type Allowance, fetchText, refusalOf } from './fetch.ts';
import { impossibleKeys, usableKeys } from './key-set.ts';
import { countFetches } from './metrics.ts';
import { type FoundKeys, KeyResolver, lookupOf } from './resolver.ts';

const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'a' };
const keys = JSON.stringify({ keys: [jwk] });

test('of a key set only what is public and of use is passed on', () => {
  const own = privateKey.export({ format: 'jwk' });
  const set = {
    keys: [{ ...own, kid: 'a', secret: 'x' }, { kty: 'oct', k: 'eA' }, { kty: 'RSA' }, 7, { ...jwk, use: 'enc' }],
    more: 1,
  };
  assert.equal(
    usableKeys(JSON.stringify(set), false),
    JSON.stringify({ keys: [{ kty: 'EC', kid: 'a', crv: 'P-256', x: jwk.x, y: jwk.y }] }),
  );
  assert.equal(usableKeys('{"keys":[{"kty":"oct","k":"eA"}]}', true), '{"keys":[{"kty":"oct","k":"eA"}]}');
  for (const text of ['x', '{}', '{"keys":[]}', '[]', 'null', '{"keys":[{"kty":"oct","k":"eA"}]}'])
    assert.equal(usableKeys(text, false), undefined, text);
  assert.equal(usableKeys(impossibleKeys, false) === undefined, false);
});

const rules = (...allows: Allowance[]) => ({ allows: new Set(allows), blocked: [], authorities: [] });

test('addresses of this machine and of its link are refused unless settings allow them', () => {
  const allowed = (ip: string, ...allows: Allowance[]) => refusalOf(parseIp(ip)!, rules(...allows)) === undefined;
  for (const ip of ['10.0.0.1', '192.168.1.1', '8.8.8.8', '2001:db8::1', 'fd12::1']) assert.ok(allowed(ip), ip);
  for (const ip of ['127.0.0.1', '127.9.9.9', '::1']) {
    assert.ok(!allowed(ip), ip);
    assert.ok(allowed(ip, 'loopback'), ip);
  }
  for (const ip of ['169.254.169.254', '169.254.0.1', 'fe80::1', '100.100.100.200', '168.63.129.16', 'fd00:ec2::254']) {
    assert.ok(!allowed(ip, 'loopback', 'http'), ip);
    assert.ok(allowed(ip, 'link-local'), ip);
  }
  for (const ip of ['0.0.0.0', '0.1.2.3', '255.255.255.255', '224.0.0.1', '::', 'ff02::1'])
    assert.ok(!allowed(ip, 'loopback', 'link-local', 'http'), ip);
  // An IPv4 address in IPv6's clothes is the IPv4 address.
  assert.ok(!allowed('::ffff:127.0.0.1'));
  assert.ok(!allowed('::ffff:169.254.169.254'));
  assert.ok(!allowed('64:ff9b::a9fe:a9fe'), 'by NAT64');
  assert.ok(allowed('64:ff9b::a9fe:a9fe', 'link-local'));
  assert.ok(allowed('64:ff9b::101:101'));
  assert.match(refusalOf(parseIp('10.1.2.3')!, { ...rules(), blocked: [parseCidr('10.0.0.0/8')!] })!, /BLOCKED_CIDRS/);
});

async function serve(listener: RequestListener) {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    [Symbol.dispose]: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const local = rules('http', 'loopback');

test('an answer is bounded in size and time, and redirects are few and judged anew', async () => {
  using server = await serve((asked, answer) => {
    const { pathname } = new URL(asked.url!, 'http://x');
    if (pathname === '/keys') answer.end(keys);
    else if (pathname === '/big') for (let i = 0; i < 40; i++) answer.write(Buffer.alloc(65_536));
    else if (pathname === '/to') answer.writeHead(302, { location: '/keys' }).end();
    else if (pathname === '/loop') answer.writeHead(302, { location: '/loop' }).end();
    else if (pathname === '/meta') answer.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
    else if (pathname === '/file') answer.writeHead(302, { location: 'file:///etc/passwd' }).end();
    else if (pathname === '/no') answer.writeHead(403).end('secret');
  });
  assert.equal(await fetchText(`${server.url}/keys`, 5_000, local), keys);
  assert.equal(await fetchText(`${server.url}/to`, 5_000, local), keys);
  const fails = (path: string, why: RegExp, timeout = 5_000, with_ = local) =>
    assert.rejects(fetchText(`${server.url}${path}`, timeout, with_), why);
  await fails('/big', /more than 1048576 bytes/);
  await fails('/loop', /more than 3 times/);
  await fails('/meta', /169\.254\.169\.254\) is not asked/);
  await fails('/file', /is not asked: use https/);
  await fails('/no', /status 403$/);
  await fails('/stall', /did not answer within 50 ms/, 50);
  await fails('/keys', /AQUIFER_JWKS_ALLOW=http/, 5_000, rules('loopback'));
  await fails('/keys', /AQUIFER_JWKS_ALLOW=loopback/, 5_000, rules('http'));
  await assert.rejects(fetchText('http://localhost:1/', 1_000, rules('http')), /own machine/);
  await assert.rejects(fetchText('https://user:x@a.test/', 1_000, local), /password/);
});

const issuer = { issuer: 'https://a.test', uri: 'https://a.test/keys', timeout: 100 };

function world(answers: (uri: string) => string | Error) {
  const [clock, stop] = [new FakeClock(), new AbortController()];
  const asked: string[] = [];
  const told: FoundKeys[] = [];
  let isWanted = true;
  const resolver = new KeyResolver({
    async fetch(uri) {
      asked.push(uri);
      const answer = answers(uri);
      if (answer instanceof Error) throw answer;
      return answer;
    },
    clock,
    log: silentLogger,
    signal: stop.signal,
    refresh: 60_000,
    isWanted: () => isWanted,
    onChange: (_, found) => told.push(found),
  });
  const forget = () => {
    isWanted = false;
  };
  return { clock, asked, told, resolver, forget, [Symbol.dispose]: () => stop.abort() };
}

test('keys are fetched once for all who ask, and again now and then', async () => {
  let text = keys;
  using w = world(() => text);
  for (let i = 0; i < 5; i++) assert.deepEqual(w.resolver.keys(issuer), { kind: 'pending' });
  await until('they are there', () => w.told.length === 1);
  assert.equal(w.asked.length, 1);
  assert.equal(w.told[0]?.problem, undefined);
  assert.deepEqual(w.resolver.keys(issuer), { kind: 'found', value: w.told[0] });
  text = JSON.stringify({ keys: [{ ...jwk, kid: 'b' }] });
  w.clock.advance(60_000);
  await until('the new ones', () => w.told.length === 2);
  assert.match(w.told[1]!.keys!, /"kid":"b"/);
  w.forget();
  w.clock.advance(60_000);
  await until('it is forgotten', () => w.resolver.keys(issuer).kind === 'pending');
  assert.equal(lookupOf(issuer), 'keys ["https://a.test","https://a.test/keys"]');
});

test('while nobody answers the last keys hold, and the next try comes later each time', async () => {
  let answer: string | Error = keys;
  using w = world(() => answer);
  w.resolver.keys(issuer);
  await until('keys', () => w.told.length === 1);
  answer = new Error('away');
  w.clock.advance(60_000);
  await until('the failure', () => w.told.length === 2);
  assert.deepEqual(w.told[1], { keys: w.told[0]!.keys, problem: 'away' });
  for (const [i, wait] of [1_000, 2_000, 4_000].entries()) {
    w.clock.advance(wait - 1);
    assert.equal(w.asked.length, 2 + i);
    w.clock.advance(1);
    await until('the next try', () => w.asked.length === 3 + i);
    await new Promise((resolve) => setImmediate(resolve));
  }
});

test('what is no key set is none, and an issuer without URL tells its own', async () => {
  using bad = world(() => '<html>');
  bad.resolver.keys(issuer);
  await until('the answer', () => bad.told.length === 1);
  assert.match(bad.told[0]!.problem!, /no key that can be used/);
  assert.equal(bad.told[0]!.keys, undefined);
  using w = world((uri) => (uri.endsWith('/openid-configuration') ? '{"jwks_uri":"https://b.test/k"}' : keys));
  w.resolver.keys({ ...issuer, issuer: 'https://a.test/', uri: '' });
  await until('keys', () => w.told.length === 1);
  assert.deepEqual(w.asked, ['https://a.test/.well-known/openid-configuration', 'https://b.test/k']);
  using none = world(() => '{}');
  none.resolver.keys({ ...issuer, issuer: 'me', uri: '' });
  await until('the refusal', () => none.told.length === 1);
  assert.match(none.told[0]!.problem!, /set jwksUri or jwks/);
});

test('requests are counted by how they ended', async () => {
  const registry = new Registry();
  using server = await serve((asked, answer) => void answer.writeHead(asked.url === '/keys' ? 200 : 500).end(keys));
  const fetch = countFetches(registry, (uri, timeout) => fetchText(uri, timeout, local));
  const counts = async () =>
    (await registry.metrics()).split('\n').filter((line) => line.startsWith('pilot_jwks_resolver_'));
  const name = 'pilot_jwks_resolver_network_fetch';
  assert.deepEqual(await counts(), [`${name}_success_total 0`, `${name}_fail_total 0`]);
  assert.equal(await fetch(`${server.url}/keys`, 5_000), keys);
  await assert.rejects(fetch(`${server.url}/`, 5_000), /status 500$/);
  await assert.rejects(fetch('https://169.254.169.254/', 5_000), /is not asked/);
  assert.deepEqual(await counts(), [`${name}_success_total 1`, `${name}_fail_total 2`]);
});
