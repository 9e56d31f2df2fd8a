/** xds.type.matcher.v3.Matcher over what is known of a connection, as filter_chain_matcher uses it: its action is a chain's name. */

import { matchesCidr } from '../../common/authz/matchers.ts';
import { type Cidr, ipToBytes, parseIp } from '../../common/core/net.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import { readString } from '../match/string.ts';
import { readRanges } from './chain-match.ts';
import type { ConnectionFacts } from './facts.ts';

/** undefined: no chain. */
export type Matcher = (facts: ConnectionFacts) => string | undefined;
type Input = (facts: ConnectionFacts) => string | undefined;

const no: Matcher = () => undefined;

export function readMatcher(fields: Fields): Matcher {
  const [tree, list] = [fields.message('matcher_tree'), fields.message('matcher_list')];
  if (!tree && !list) fields.mistake('matcher_tree', 'is missing, and so is matcher_list');
  const first = tree ? readTree(tree) : list ? readList(list) : no;
  const otherwise = fields.message('on_no_match');
  if (!otherwise) return first;
  const second = readOnMatch(otherwise);
  return (facts) => first(facts) ?? second(facts);
}

function readOnMatch(fields: Fields): Matcher {
  const matcher = fields.message('matcher');
  if (matcher) return readMatcher(matcher);
  const action = fields.message('action');
  if (!action) {
    fields.mistake('on_match', 'is missing');
    return no;
  }
  action.harmless('name');
  const config = action.message('typed_config');
  if (!config?.type.endsWith('/google.protobuf.StringValue')) {
    action.mistake('typed_config', 'is no google.protobuf.StringValue with the name of a chain');
    return no;
  }
  const chain = config.text('value');
  return () => chain;
}

type Predicate = (facts: ConnectionFacts) => boolean;

/** The first that matches, and says a chain. */
function readList(list: Fields): Matcher {
  const matchers = list.list('matchers').map((one) => {
    const predicate = one.required('predicate', readMatchPredicate);
    const onMatch = one.required('on_match', readOnMatch);
    return (facts: ConnectionFacts) => (predicate(facts) ? onMatch(facts) : undefined);
  });
  return (facts) => {
    for (const matcher of matchers) {
      const chain = matcher(facts);
      if (chain !== undefined) return chain;
    }
    return undefined;
  };
}

function readMatchPredicate(fields: Fields): Predicate {
  const all = (name: 'or_matcher' | 'and_matcher') => fields.message(name)?.list('predicate').map(readMatchPredicate);
  const [or, and, not] = [all('or_matcher'), all('and_matcher'), fields.message('not_matcher')];
  if (or) return (facts) => or.some((p) => p(facts));
  if (and) return (facts) => and.every((p) => p(facts));
  if (not) {
    const negated = readMatchPredicate(not);
    return (facts) => !negated(facts);
  }
  return fields.required('single_predicate', readSinglePredicate);
}

/** What is not there matches nothing. */
function readSinglePredicate(fields: Fields): Predicate {
  const input = readInput(fields);
  const value = fields.message('value_match');
  if (value) {
    const test = readString(value);
    return (facts) => {
      const text = input(facts);
      return text !== undefined && test(text);
    };
  }
  const custom = fields.message('custom_match');
  custom?.harmless('name');
  const config = custom?.message('typed_config');
  if (!config?.type.endsWith('/envoy.extensions.matching.input_matchers.ip.v3.Ip')) {
    fields.mistake('custom_match', `${config?.type ?? 'nothing'} is not supported`);
    return () => false;
  }
  config.harmless('stat_prefix');
  const ranges = readRanges(config, 'cidr_ranges');
  return (facts) => {
    const ip = parseIp(input(facts) ?? '');
    return ip !== undefined && ranges.some((range) => matchesCidr(range, ipToBytes(ip)));
  };
}

function readTree(tree: Fields): Matcher {
  const input = readInput(tree);
  const exact = tree.message('exact_match_map');
  if (exact) {
    const map = new Map(exact.map('map').map(([key, onMatch]) => [key, readOnMatch(onMatch)]));
    return (facts) => {
      const value = input(facts);
      return value === undefined ? undefined : map.get(value)?.(facts);
    };
  }
  const prefix = tree.message('prefix_match_map');
  if (prefix) {
    const entries = prefix.map('map').map(([key, onMatch]) => [key, readOnMatch(onMatch)] as const);
    entries.sort(([a], [b]) => b.length - a.length);
    return (facts) => {
      const value = input(facts);
      return value === undefined ? undefined : entries.find(([key]) => value.startsWith(key))?.[1](facts);
    };
  }
  const custom = tree.message('custom_match');
  custom?.harmless('name');
  const config = custom?.message('typed_config');
  if (config?.type.endsWith('/xds.type.matcher.v3.IPMatcher')) return readIpMatcher(config, input);
  tree.mistake('custom_match', `${config?.type ?? 'nothing'} is not supported`);
  return no;
}

function readIpMatcher(config: Fields, input: Input): Matcher {
  const ranges: { readonly range: Cidr; readonly exclusive: boolean; readonly onMatch: Matcher }[] = [];
  for (const one of config.list('range_matchers')) {
    const onMatch = one.message('on_match');
    const exclusive = one.flag('exclusive');
    const inner = onMatch ? readOnMatch(onMatch) : no;
    for (const range of readRanges(one, 'ranges')) ranges.push({ range, exclusive, onMatch: inner });
  }
  // The longest first; of equal ones the first that was given.
  ranges.sort((a, b) => b.range.length - a.range.length);
  const exact = new Map(
    ranges
      .filter((r) => isWhole(r.range))
      .map((r) => [r.range.ip as string, r] as const)
      .reverse(),
  );
  const wider = ranges.filter((r) => !isWhole(r.range));
  return (facts) => {
    const text = parseIp(input(facts) ?? '');
    if (text === undefined) return undefined;
    const one = exact.get(text);
    const found = one?.onMatch(facts);
    if (found !== undefined || one?.exclusive) return found;
    const ip = ipToBytes(text);
    for (const { range, exclusive, onMatch } of wider) {
      if (!matchesCidr(range, ip)) continue;
      const chain = onMatch(facts);
      if (chain !== undefined || exclusive) return chain;
    }
    return undefined;
  };
}

function isWhole({ ip, length }: Cidr): boolean {
  return length === (ip.includes(':') ? 128 : 32);
}

const network = 'envoy.extensions.matching.common_inputs.network.v3.';

function readInput(tree: Fields): Input {
  const input = tree.message('input');
  input?.harmless('name');
  const config = input?.message('typed_config');
  const type = config?.type.slice(config.type.indexOf('/') + 1) ?? '';
  switch (type.startsWith(network) ? type.slice(network.length) : '') {
    case 'DestinationIPInput':
      return (facts) => facts.local.address;
    case 'DestinationPortInput':
      return (facts) => String(facts.local.port);
    case 'SourceIPInput':
      return (facts) => facts.remote.address;
    case 'SourcePortInput':
      return (facts) => String(facts.remote.port);
    case 'DirectSourceIPInput':
      return (facts) => facts.directRemote.address;
    case 'SourceTypeInput':
      return ({ remote, local }) => (remote.address === local.address ? 'local' : undefined);
    case 'ServerNameInput':
      return (facts) => facts.sni;
    case 'TransportProtocolInput':
      return (facts) => facts.transport;
    case 'ApplicationProtocolInput':
      return ({ applicationProtocols: list }) => (list.length === 0 ? undefined : list.map((p) => `'${p}'`).join(','));
    case 'FilterStateInput': {
      const key = config!.text('key');
      return (facts) => facts.filterState.get(key);
    }
  }
  tree.mistake('input', `${type || 'nothing'} is not supported`);
  return () => undefined;
}

/** listener.v3.ListenerFilterChainMatchPredicate: where a listener filter is disabled. */
export function readPredicate(fields: Fields): (facts: ConnectionFacts) => boolean {
  const or = fields.message('or_match');
  if (or) {
    const rules = or.list('rules').map(readPredicate);
    return (facts) => rules.some((rule) => rule(facts));
  }
  const and = fields.message('and_match');
  if (and) {
    const rules = and.list('rules').map(readPredicate);
    return (facts) => rules.every((rule) => rule(facts));
  }
  const not = fields.message('not_match');
  if (not) {
    const rule = readPredicate(not);
    return (facts) => !rule(facts);
  }
  const port = fields.message('destination_port_range');
  if (port) {
    const start = port.number('start');
    const end = port.number('end');
    return ({ local }) => local.port >= start && local.port < end;
  }
  if (!fields.flag('any_match')) fields.mistake('rule', 'is missing');
  return () => true;
}
