/** Matchers of listeners: which chain of filters a connection gets. */
import { typeUrl } from '../../../common/envoy/codec.ts';
import { range } from '../rbac/matchers.ts';
import { callersOf } from '../routes/matchers.ts';
import { type Message, typed } from '../values.ts';

const inputs = 'envoy.extensions.matching.common_inputs.network.v3';

/** What happens on a match: a chain by its name, or a further matcher. */
export type OnMatch = Message;

export function toChain(name: string): OnMatch {
  return { action: { name, typed_config: { '@type': typeUrl('google.protobuf.StringValue'), value: name } } };
}

export function toMatcher(matcher: Message): OnMatch {
  return { matcher };
}

function exact(input: string, map: ReadonlyMap<string, OnMatch>, otherwise?: OnMatch): Message {
  return {
    matcher_tree: {
      input: { name: input, typed_config: typed(`${inputs}.${input}`, {}) },
      exact_match_map: { map: Object.fromEntries(map) },
    },
    ...(otherwise && { on_no_match: otherwise }),
  };
}

export function byPort(ports: ReadonlyMap<number, OnMatch>): Message {
  return exact('DestinationPortInput', new Map([...ports].map(([port, on]) => [String(port), on])));
}

/** By what the tunnel said that it leads to. */
export function byAuthority(names: ReadonlyMap<string, OnMatch>, otherwise: OnMatch): Message {
  const { matcher_tree, ...rest } = exact('FilterStateInput', names, otherwise) as { readonly matcher_tree: object };
  const config = typed(`${inputs}.FilterStateInput`, { key: 'io.istio.connect_authority' });
  return { matcher_tree: { ...matcher_tree, input: { name: 'authority', typed_config: config } }, ...rest };
}

/** By what the first bytes were found to be. */
export function byProtocol(http: OnMatch, other: OnMatch): Message {
  return exact(
    'ApplicationProtocolInput',
    new Map([
      ["'http/1.0'", http],
      ["'http/1.1'", http],
      ["'h2c'", http],
    ]),
    other,
  );
}

/** One way of a port: names that clients ask for in the hello of TLS, where they connected to, and from which namespace. Empty: all. */
export interface StreamCase {
  readonly sni: readonly string[];
  readonly destinations: readonly string[];
  readonly callers?: string | undefined;
  readonly on: OnMatch;
}

/** The first that fits; the last one takes what is left. */
export function byStream(cases: readonly StreamCase[]): OnMatch {
  const last = cases.at(-1)!;
  const matchers = cases.slice(0, -1).flatMap(({ sni, destinations, callers, on }) => {
    const terms = [
      ...(sni.length > 0 ? [anyOf(sni.map(serverName))] : []),
      ...(destinations.length > 0 ? [destination(destinations)] : []),
      ...(callers === undefined ? [] : [caller(callers)]),
    ];
    return [{ predicate: terms.length === 1 ? terms[0]! : { and_matcher: { predicate: terms } }, on_match: on }];
  });
  return matchers.length === 0 ? last.on : toMatcher({ matcher_list: { matchers }, on_no_match: last.on });
}

function anyOf(predicates: readonly Message[]): Message {
  return predicates.length === 1 ? predicates[0]! : { or_matcher: { predicate: predicates } };
}

function input(name: string): Message {
  return { name, typed_config: typed(`${inputs}.${name}`, {}) };
}

function serverName(name: string): Message {
  const match = name.startsWith('*') ? { suffix: name.slice(1) } : { exact: name };
  return { single_predicate: { input: input('ServerNameInput'), value_match: match } };
}

function caller(namespace: string): Message {
  const { key, string_match } = callersOf(namespace);
  return {
    single_predicate: {
      input: { name: 'caller', typed_config: typed(`${inputs}.FilterStateInput`, { key }) },
      value_match: { safe_regex: { google_re2: {}, ...string_match.safe_regex } },
    },
  };
}

function destination(ranges: readonly string[]): Message {
  const config = typed('envoy.extensions.matching.input_matchers.ip.v3.Ip', {
    cidr_ranges: ranges.flatMap((r) => range(r) ?? []),
    stat_prefix: 'destination',
  });
  return {
    single_predicate: {
      input: input('DestinationIPInput'),
      custom_match: { name: 'envoy.matching.matchers.ip', typed_config: config },
    },
  };
}

export interface Ranges {
  /** Of messages `CidrRange`; never empty. */
  readonly ranges: readonly Message[];
  readonly on: OnMatch;
}

export function byDestination(ranges: readonly Ranges[]): Message {
  return {
    matcher_tree: {
      input: { name: 'DestinationIPInput', typed_config: typed(`${inputs}.DestinationIPInput`, {}) },
      custom_match: {
        name: 'ip',
        typed_config: typed('xds.type.matcher.v3.IPMatcher', {
          range_matchers: ranges.map(({ ranges, on }) => ({ ranges, on_match: on })),
        }),
      },
    },
  };
}
