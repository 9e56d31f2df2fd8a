/** Matchers of listeners: which chain of filters a connection gets. */
import { typeUrl } from '../../../common/envoy/codec.ts';
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

/** By the name that a client asks for in the hello of TLS. */
export function byServerName(names: ReadonlyMap<string, OnMatch>, otherwise: OnMatch): Message {
  return exact('ServerNameInput', names, otherwise);
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
