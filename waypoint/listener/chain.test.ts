import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeEnvoy, encodeEnvoy, typeUrl } from '../../common/envoy/codec.ts';
import { Fields } from '../../common/envoy/fields.ts';
import { messageFromJson } from '../../common/envoy/json.ts';
import { chooseChain, readChainMatch } from './chain-match.ts';
import type { ConnectionFacts } from './facts.ts';
import { readMatcher, readPredicate } from './matcher.ts';

function read<T>(
  type: string,
  json: object,
  compile: (fields: Fields) => T,
): { value: T; mistakes: readonly string[] } {
  const url = typeUrl(type);
  const decoded = decodeEnvoy(url, encodeEnvoy(messageFromJson(url, json)));
  assert.ok(decoded.kind === 'ok');
  const fields = new Fields(decoded.value, 'X');
  const value = compile(fields);
  return { value, mistakes: fields.finish() };
}

function facts(some: Partial<ConnectionFacts> = {}): ConnectionFacts {
  return {
    remote: { address: '10.0.0.9', port: 4_000 },
    directRemote: { address: '10.0.0.9', port: 4_000 },
    local: { address: '10.1.2.3', port: 80 },
    restored: false,
    transport: 'raw_buffer',
    sni: undefined,
    applicationProtocols: [],
    filterState: new Map(),
    shared: new Map(),
    metadata: new Map(),
    ...some,
  };
}

describe('filter_chain_match', () => {
  const chains = Object.entries({
    any: {},
    port: { destination_port: 80 },
    range: { destination_port: 80, prefix_ranges: [{ address_prefix: '10.1.0.0', prefix_len: 16 }] },
    narrow: {
      destination_port: 80,
      prefix_ranges: [{ address_prefix: '10.1.2.0', prefix_len: 24 }],
      source_type: 'EXTERNAL',
    },
    tls: { destination_port: 443, transport_protocol: 'tls' },
    exact: { destination_port: 443, server_names: ['a.example.com'], transport_protocol: 'tls' },
    wild: { destination_port: 443, server_names: ['*.example.com'], transport_protocol: 'tls' },
    h2: { destination_port: 444, application_protocols: ['h2'] },
    other: { destination_port: 444 },
  }).map(([name, json]) => {
    const { value, mistakes } = read('envoy.config.listener.v3.FilterChainMatch', json, readChainMatch);
    assert.deepEqual(mistakes, []);
    return { name, match: value };
  });
  const choose = (some: Partial<ConnectionFacts>) => chooseChain(chains, facts(some))?.name;

  it('chooses the most specific', () => {
    assert.equal(choose({}), 'narrow');
    assert.equal(choose({ local: { address: '10.1.9.9', port: 80 } }), 'range');
    assert.equal(choose({ local: { address: '10.9.9.9', port: 80 } }), 'port');
    assert.equal(choose({ local: { address: '10.9.9.9', port: 81 } }), 'any');
    const tls = { local: { address: '10.1.2.3', port: 443 }, transport: 'tls' } as const;
    assert.equal(choose({ ...tls, sni: 'A.example.com' }), 'exact');
    assert.equal(choose({ ...tls, sni: 'x.b.example.com' }), 'wild');
    assert.equal(choose({ ...tls, sni: 'example.com' }), 'tls');
    assert.equal(choose({ local: { address: '::1', port: 444 }, applicationProtocols: ['h2', 'http/1.1'] }), 'h2');
    assert.equal(choose({ local: { address: '::1', port: 444 }, applicationProtocols: ['spdy'] }), 'other');
  });

  it('never goes back: a criterion that only a less specific chain would meet leaves none', () => {
    assert.equal(choose({ remote: { address: '127.0.0.1', port: 1 } }), undefined);
    assert.equal(choose({ local: { address: '10.1.2.3', port: 443 } }), undefined);
  });
});

const action = (name: string) => ({
  action: { name, typed_config: { '@type': 'type.googleapis.com/google.protobuf.StringValue', value: name } },
});
const input = (name: string, more: object = {}) => ({
  name,
  typed_config: { '@type': `type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.${name}`, ...more },
});

describe('filter_chain_matcher', () => {
  it("reads a tree such as Istio's: addresses, ports, sniffed protocols, the tunnel's authority before them", () => {
    const ports = {
      matcher_tree: {
        input: input('DestinationPortInput'),
        exact_match_map: {
          map: {
            '80': {
              matcher: {
                matcher_tree: {
                  input: input('ApplicationProtocolInput'),
                  exact_match_map: { map: { "'h2c'": action('http'), "'http/1.1'": action('http') } },
                },
                on_no_match: action('tcp'),
              },
            },
          },
        },
      },
    };
    const ip = {
      '@type': 'type.googleapis.com/xds.type.matcher.v3.IPMatcher',
      range_matchers: [
        { ranges: [{ address_prefix: '10.1.2.3', prefix_len: 32 }], on_match: { matcher: ports } },
        { ranges: [{ address_prefix: '10.1.0.0', prefix_len: 16 }], on_match: action('wide') },
      ],
    };
    const json = {
      matcher_tree: {
        input: input('FilterStateInput', { key: 'io.istio.connect_authority' }),
        exact_match_map: { map: { 'web.shop:80': action('by-name') } },
      },
      on_no_match: {
        matcher: {
          matcher_tree: { input: input('DestinationIPInput'), custom_match: { name: 'ip', typed_config: ip } },
        },
      },
    };
    const { value: match, mistakes } = read('xds.type.matcher.v3.Matcher', json, readMatcher);
    assert.deepEqual(mistakes, []);
    assert.equal(match(facts({ applicationProtocols: ['http/1.1'] })), 'http');
    assert.equal(match(facts({ applicationProtocols: ['h2c'] })), 'http');
    assert.equal(match(facts()), 'tcp');
    assert.equal(match(facts({ local: { address: '10.1.2.3', port: 81 } })), 'wide');
    assert.equal(match(facts({ local: { address: '10.2.2.3', port: 80 } })), undefined);
    assert.equal(match(facts({ local: { address: '', port: 0 } })), undefined);
    assert.equal(match(facts({ filterState: new Map([['io.istio.connect_authority', 'web.shop:80']]) })), 'by-name');
  });

  it('reads a list such as that of TCP and TLS routes: names, addresses and callers, the first that matches', () => {
    const one = (name: string, value_match: object, more = {}) => ({
      single_predicate: { input: input(name, more), value_match },
    });
    const ip = {
      '@type': 'type.googleapis.com/envoy.extensions.matching.input_matchers.ip.v3.Ip',
      stat_prefix: 'd',
      cidr_ranges: [{ address_prefix: '10.0.0.0', prefix_len: 8 }],
    };
    const within = {
      single_predicate: { input: input('DestinationIPInput'), custom_match: { name: 'ip', typed_config: ip } },
    };
    const names = { predicate: [one('ServerNameInput', { exact: 'a.b' }), one('ServerNameInput', { suffix: '.c' })] };
    const regex = { safe_regex: { google_re2: {}, regex: 'spiffe://[^/]+/ns/pay/sa/[^/]+' } };
    const paying = one('FilterStateInput', regex, { key: 'who' });
    const json = {
      matcher_list: {
        matchers: [
          { predicate: { and_matcher: { predicate: [{ or_matcher: names }, within] } }, on_match: action('named') },
          { predicate: { and_matcher: { predicate: [paying, { not_matcher: within }] } }, on_match: action('pay') },
        ],
      },
      on_no_match: action('rest'),
    };
    const { value: match, mistakes } = read('xds.type.matcher.v3.Matcher', json, readMatcher);
    assert.deepEqual(mistakes, []);
    const far = { address: '192.0.2.1', port: 1 };
    const pay = new Map([['who', 'spiffe://td/ns/pay/sa/x']]);
    assert.equal(match(facts({ sni: 'a.b' })), 'named');
    assert.equal(match(facts({ sni: 'x.c' })), 'named');
    assert.equal(match(facts({ sni: 'x.c', local: far })), 'rest');
    assert.equal(match(facts({ filterState: pay, local: far })), 'pay');
    assert.equal(match(facts({ filterState: pay })), 'rest');
    assert.equal(match(facts()), 'rest');
  });

  it('names what it cannot read', () => {
    const json = {
      matcher_tree: {
        input: input('SourceIPInput'),
        custom_match: { name: 'x', typed_config: input('ServerNameInput').typed_config },
      },
      on_no_match: { action: { name: 'x', typed_config: input('ServerNameInput').typed_config } },
    };
    const { mistakes } = read('xds.type.matcher.v3.Matcher', json, readMatcher);
    assert.equal(mistakes.length, 2);
    assert.match(mistakes.join(), /matcher_tree\.custom_match: .*ServerNameInput is not supported/);
  });

  it('reads the predicate that disables a filter', () => {
    const json = {
      not_match: {
        or_match: {
          rules: [
            { destination_port_range: { start: 80, end: 81 } },
            { destination_port_range: { start: 90, end: 92 } },
          ],
        },
      },
    };
    const { value } = read('envoy.config.listener.v3.ListenerFilterChainMatchPredicate', json, readPredicate);
    assert.deepEqual(
      [79, 80, 81, 91, 92].map((port) => value(facts({ local: { address: '', port } }))),
      [true, false, true, false, true],
    );
  });
});
