/** Sessions that clients keep by a cookie or header, in Envoy and in ours: the same host, the same answers to what clients make up. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { encodeSession } from '../../waypoint/filters/session/address.ts';
import { skipWithoutEnvoy } from '../harness/envoy.ts';
import { type EngineAnswer, type EngineSite, Engines, named } from './engines.ts';

const skip = skipWithoutEnvoy();
const filter = 'envoy.extensions.filters.http.stateful_session.v3.StatefulSession';
const state = 'envoy.extensions.http.stateful_session';
const cookie = (more: object = {}) => ({
  session_state: named('envoy.http.stateful_session.cookie', `${state}.cookie.v3.CookieBasedSessionState`, {
    cookie: { name: 'c', ...more },
  }),
});
const header = {
  session_state: named('envoy.http.stateful_session.header', `${state}.header.v3.HeaderBasedSessionState`, {
    name: 'X-Session',
  }),
};
const router = named('router', 'envoy.extensions.filters.http.router.v3.Router');

type Sessions = Readonly<Record<string, unknown>>;

/** `route`: what the route says to the filter. The last host of each cluster is unhealthy. */
function site(name: string, sessions: Sessions, hosts: readonly string[], route?: Sessions): EngineSite {
  const endpoints = hosts.map((host, i) => ({
    endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: Number(host.split(':')[1]) } } },
    ...(i === hosts.length - 1 && { health_status: 'UNHEALTHY' }),
  }));
  const own = { '@type': `type.googleapis.com/${filter}PerRoute`, ...route };
  return {
    name,
    cluster: { load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] } },
    manager: { http_filters: [named('sessions', filter, sessions), router] },
    routes: [
      {
        match: { prefix: '/' },
        route: { cluster: name },
        ...(route && { typed_per_filter_config: { sessions: own } }),
      },
    ],
  };
}

describe('sessions', { skip }, () => {
  const servers: Server[] = [];
  /** `127.0.0.1:PORT`. */
  let hosts: readonly string[];
  let engines: Engines;

  before(async () => {
    for (let i = 0; i < 4; i++) {
      const server = createServer((_q, s) => {
        s.setHeader('x-host', `127.0.0.1:${(server.address() as AddressInfo).port}`);
        s.end();
      }).listen(0, '127.0.0.1');
      await once(server, 'listening');
      servers.push(server);
    }
    hosts = servers.map((s) => `127.0.0.1:${(s.address() as AddressInfo).port}`);
    engines = await Engines.start(() => [
      site('cookie', cookie(), hosts),
      site('below', cookie({ path: '/a' }), hosts),
      site('folder', cookie({ path: '/a/' }), hosts),
      site('for-a-time', cookie({ ttl: '90s', path: '/' }), hosts),
      site('header', header, hosts),
      site('strict', { ...cookie(), strict: true }, hosts),
      site('off', cookie(), hosts, { disabled: true }),
      site('by-route', {}, hosts, { stateful_session: header }),
      site('none', {}, hosts),
    ]);
  });
  after(async () => {
    for (const server of servers) server.close();
    await engines?.[Symbol.asyncDispose]();
  });

  /** Of three requests, so that a host that all have was not chosen in turn. Cookies that begin to last a time have the time taken out. */
  const seen = (answers: readonly EngineAnswer[]) => {
    const came = new Set(answers.map((a) => a.headers['x-host']));
    return {
      statuses: answers.map((a) => a.status),
      host: came.size === 1 ? [...came][0] : 'by turns',
      told: answers.map((a) => {
        const [set] = a.headers['set-cookie'] ?? [];
        const value = set === undefined ? undefined : /^c="([^"]*)"/.exec(set)?.[1];
        const named = value === undefined ? undefined : Buffer.from(value, 'base64').subarray(2, 2 + hosts[0]!.length);
        const own = a.headers['x-session'];
        return {
          cookie: set?.replace(/"[^"]*"/, '""'),
          isHost: named && named.toString() === a.headers['x-host'],
          header: own && Buffer.from(String(own), 'base64').toString() === a.headers['x-host'],
        };
      }),
    };
  };

  const both = async (name: string, path: string, headers: Readonly<Record<string, string>>) => {
    const answers: (readonly [EngineAnswer, EngineAnswer])[] = [];
    for (let i = 0; i < 3; i++) answers.push(await engines.ask(name, path, { headers }));
    return [seen(answers.map(([envoy]) => envoy)), seen(answers.map(([, ours]) => ours))] as const;
  };

  const packed = (address: string, expires = 0) => encodeSession({ address, expires }).toString('base64');
  const plain = (text: string) => Buffer.from(text).toString('base64');
  const asks = (): readonly (readonly [site: string, path: string, headers: Readonly<Record<string, string>>])[] => {
    const [first, second, , sick] = hosts as readonly [string, string, string, string];
    const values = [
      packed(first),
      `"${packed(second)}"`,
      packed(sick),
      packed('127.0.0.1:1'),
      packed(first, 1),
      packed(''),
      packed(first).replace(/=+$/, ''),
      `${packed(first)}=`,
      plain(first),
      plain('none'),
      'none',
      '',
      '%%%',
    ];
    return [
      ...['cookie', 'strict', 'for-a-time', 'off', 'none'].flatMap((name) =>
        values.map((value) => [name, '/', { cookie: `c=${value}` }] as const),
      ),
      ...['/', '/a', '/a/', '/a/b', '/ab', '/a?x'].flatMap((path) =>
        ['below', 'folder'].map((name) => [name, path, { cookie: `c=${packed(first)}` }] as const),
      ),
      ...['header', 'by-route'].flatMap((name) =>
        [plain(first), plain(sick), plain('none'), packed(first), 'none', ''].map(
          (value) => [name, '/', { 'x-session': value }] as const,
        ),
      ),
      ...['cookie', 'below', 'for-a-time', 'header', 'strict', 'off', 'by-route', 'none'].map(
        (name) => [name, '/', {}] as const,
      ),
      ['cookie', '/', { cookie: `a=b; c=${packed(first)}; c=${packed(second)}` }],
      ['cookie', '/', { cookie: `C=${packed(first)}` }],
    ];
  };

  test('are kept, refused and told alike', async (t) => {
    for (const [name, path, headers] of asks()) {
      const [envoy, ours] = await both(name, path, headers);
      await t.test(`${name} ${path} ${JSON.stringify(headers)}: ${envoy.host}`, () => assert.deepEqual(ours, envoy));
    }
  });

  test('go on at the host that the first answer named', async () => {
    for (const [name, of] of [
      ['cookie', (a: EngineAnswer) => ({ cookie: a.headers['set-cookie']![0]!.split(';')[0]! })],
      ['header', (a: EngineAnswer) => ({ 'x-session': String(a.headers['x-session']) })],
    ] as const) {
      const first = await engines.ask(name, '/');
      for (const answer of first) {
        // What one engine gave the other takes, too.
        for (const after of await both(name, '/', of(answer))) assert.equal(after.host, answer.headers['x-host'], name);
      }
    }
  });

  test('of ours end when their time is over', async () => {
    const [, first] = await engines.ask('for-a-time', '/');
    const kept = first.headers['set-cookie']![0]!.split(';')[0]!;
    const [, after] = await engines.ask('for-a-time', '/', { headers: { cookie: kept } });
    assert.equal(after.headers['x-host'], first.headers['x-host']);
    assert.equal(after.headers['set-cookie'], undefined);
  });
});
