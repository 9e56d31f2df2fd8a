/** envoy.extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder, of a filter or of a route. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { Matcher } from './matcher.ts';
import { readDescriptors, type Way } from './methods.ts';
import type { PrintOptions } from './print.ts';
import type { Keeps } from './unescape.ts';

export interface Config {
  /** Undefined: nothing is transcoded. */
  readonly ways: Matcher<Way> | undefined;
  readonly print: PrintOptions;
  readonly linesOfStreams: boolean;
  readonly keepsRoute: boolean;
  readonly ignoredParameters: ReadonlySet<string>;
  readonly ignoresUnknownParameters: boolean;
  readonly plusIsSpace: boolean;
  readonly convertsStatus: boolean;
  readonly rejects: {
    readonly unknownMethods: boolean;
    readonly unknownParameters: boolean;
    readonly collisions: boolean;
  };
  /** Bytes. */
  readonly mostRequest: number;
  readonly mostResponse: number;
}

/** Bytes: as Envoy's buffers hold by default. */
const defaultMost = 1_048_576;

const unescapes: Readonly<Record<string, Keeps>> = {
  ALL_CHARACTERS_EXCEPT_RESERVED: 'reserved',
  ALL_CHARACTERS_EXCEPT_SLASH: 'slash',
  ALL_CHARACTERS: 'nothing',
};

export function readConfig(fields: Fields): Config {
  const print = fields.message('print_options');
  const rejects = fields.message('request_validation_options');
  return {
    ways: readWays(fields),
    print: {
      whitespace: print?.flag('add_whitespace') ?? false,
      defaults: print?.flag('always_print_primitive_fields') ?? false,
      enumNumbers: print?.flag('always_print_enums_as_ints') ?? false,
      protoNames: print?.flag('preserve_proto_field_names') ?? false,
    },
    linesOfStreams: print?.flag('stream_newline_delimited') ?? false,
    keepsRoute: fields.flag('match_incoming_request_route'),
    ignoredParameters: new Set(fields.texts('ignored_query_parameters')),
    ignoresUnknownParameters: fields.flag('ignore_unknown_query_parameters'),
    plusIsSpace: fields.flag('query_param_unescape_plus'),
    convertsStatus: fields.flag('convert_grpc_status'),
    rejects: {
      unknownMethods: rejects?.flag('reject_unknown_method') ?? false,
      unknownParameters: rejects?.flag('reject_unknown_query_parameters') ?? false,
      collisions: rejects?.flag('reject_binding_body_field_collisions') ?? false,
    },
    mostRequest: fields.wrapped('max_request_body_size', 1) ?? defaultMost,
    mostResponse: fields.wrapped('max_response_body_size', 1) ?? defaultMost,
  };
}

function readWays(fields: Fields): Matcher<Way> | undefined {
  const anyVerb = fields.flag('match_unregistered_custom_verb');
  const keeps = fields.choice('url_unescape_spec', 'ALL_CHARACTERS_EXCEPT_RESERVED', unescapes) ?? 'reserved';
  const mapsAll = fields.flag('auto_mapping');
  const services = fields.texts('services');
  if (fields.which('proto_descriptor', 'proto_descriptor_bin') === 'proto_descriptor')
    throw fields.unsupported('proto_descriptor');
  if (!fields.has('proto_descriptor_bin')) throw fields.refusal('proto_descriptor_bin', 'is missing');
  const bytes = fields.bytes('proto_descriptor_bin');
  if (services.length === 0) return undefined;
  const descriptors = attempt(fields, 'proto_descriptor_bin', () => readDescriptors(bytes));
  const ways = new Matcher<Way>(anyVerb, keeps);
  for (const service of services) {
    for (const way of attempt(fields, 'services', () => descriptors.waysTo(service, mapsAll)))
      ways.add(way.httpMethod, way.template, way);
  }
  return ways;
}

function attempt<T>(fields: Fields, name: string, read: () => T): T {
  try {
    return read();
  } catch (e) {
    throw fields.refusal(name, e instanceof Error ? e.message : String(e));
  }
}
