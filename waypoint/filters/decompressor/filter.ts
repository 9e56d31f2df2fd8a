/** envoy.extensions.filters.http.decompressor.v3.Decompressor: bodies are decompressed as they stream, of requests and of responses. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { Headers } from '../../request/headers.ts';
import { Coding, through } from '../compressor/coding.ts';
import type { FilterContext, FilterKind, LocalReply } from '../filter.ts';
import type { Onward, Participant, Stage } from '../stream.ts';
import { type Library, readLibrary } from './library.ts';

interface Direction {
  readonly enabled: boolean;
  /** Also what says `cache-control: no-transform`. */
  readonly transformsAll: boolean;
}

interface Decompressor {
  readonly library: Library;
  readonly request: Direction;
  readonly response: Direction;
  /** Hosts are told that this encoding is understood. */
  readonly advertises: boolean;
  readonly statPrefix: string;
}

export const decompressorFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.decompressor.v3.Decompressor',
  read(fields) {
    const config = readDecompressor(fields);
    return {
      onRequest(view, context) {
        if (config.advertises && config.response.enabled) advertise(view.headers, config.library.encoding);
        return {
          kind: 'stream',
          open(request, response): Participant {
            const codings: Coding[] = [];
            const make = (onward: Onward, direction: 'request' | 'response') => {
              const made = decoding(config, direction, onward, context);
              codings.push(made);
              return made;
            };
            let ofRequest: Coding | undefined;
            let ofResponse: Coding | undefined;
            const decide = (headers: Headers, direction: 'request' | 'response') => {
              const yes = mayDecompress(headers, config[direction], config.library);
              context.count(`${config.statPrefix}${direction}.${yes ? 'decompressed' : 'not_decompressed'}`);
              if (yes) takeEncoding(headers);
              return yes;
            };
            return {
              request: {
                head(ended) {
                  if (!ended && decide(view.headers, 'request')) ofRequest = make(request, 'request');
                  request.head(ended);
                },
                ...(through(request, () => ofRequest) satisfies Stage),
              },
              response: {
                head({ headers }, ended) {
                  if (!ended && decide(headers, 'response')) ofResponse = make(response, 'response');
                  response.head(ended);
                },
                ...(through(response, () => ofResponse) satisfies Stage),
              },
              closed: () => {
                for (const one of codings) one.close();
              },
            };
          },
        };
      },
    };
  },
};

function readDecompressor(fields: Fields): Decompressor {
  const library = fields.required('decompressor_library', readLibrary);
  const request = fields.message('request_direction_config');
  const response = fields.message('response_direction_config');
  return {
    library,
    request: readDirection(request),
    response: readDirection(response),
    advertises: request?.wrappedFlag('advertise_accept_encoding') ?? true,
    statPrefix: `decompressor.${library.statName}.`,
  };
}

function readDirection(fields: Fields | undefined): Direction {
  const common = fields?.message('common_config');
  return {
    enabled: common?.read('enabled', readFlag) ?? true,
    transformsAll: common?.flag('ignore_no_transform_header') ?? false,
  };
}

/** There is no runtime layer that could override it. */
function readFlag(fields: Fields): boolean {
  fields.harmless('runtime_key');
  return fields.wrappedFlag('default_value') ?? true;
}

/** Whatever the client said of this encoding: it is not for the client. */
function advertise(headers: Headers, encoding: string): void {
  const tokens = (headers.get('accept-encoding') ?? '').split(',').map((token) => token.trim());
  const others = tokens.filter((token) => token !== '' && token.split(';', 1)[0]!.trim() !== encoding);
  headers.set('accept-encoding', [...others, encoding].join(','));
}

function mayDecompress(headers: Headers, { enabled, transformsAll }: Direction, { encoding }: Library): boolean {
  if (!enabled || (!transformsAll && forbidsTransform(headers))) return false;
  const [outer] = (headers.get('content-encoding') ?? '').split(',', 1);
  return outer!.trim().toLowerCase() === encoding;
}

function forbidsTransform(headers: Headers): boolean {
  const directives = headers.get('cache-control')?.split(',') ?? [];
  return directives.some((directive) => directive.trim().toLowerCase() === 'no-transform');
}

/** What is taken off the body; others that it has stay. */
function takeEncoding(headers: Headers): void {
  const all = headers.get('content-encoding') ?? '';
  const comma = all.indexOf(',');
  if (comma < 0) headers.remove('content-encoding');
  else headers.set('content-encoding', all.slice(comma + 1).trim());
  headers.remove('content-length');
}

/** Bytes that may come out whatever went in: so little harms nobody. */
const anyRatioBelow = 65_536;

function decoding(
  { library, statPrefix }: Decompressor,
  direction: 'request' | 'response',
  onward: Onward,
  context: FilterContext,
): Coding {
  const count = (name: string, by?: number) => context.count(`${statPrefix}${direction}.${name}`, by);
  const bytes = { compressed: 0, uncompressed: 0 };
  let isOver = false;
  const fail = () => {
    if (isOver) return;
    isOver = true;
    count('failed');
    onward.reply(direction === 'request' ? badRequest : badResponse);
  };
  return new Coding(onward, library.make(), {
    took(by) {
      bytes.compressed += by;
      count('total_compressed_bytes', by);
    },
    gave(by) {
      bytes.uncompressed += by;
      count('total_uncompressed_bytes', by);
      if (bytes.uncompressed > Math.max(anyRatioBelow, bytes.compressed * library.mostRatio)) fail();
      return !isOver;
    },
    failed: fail,
    keepsEmpty: true,
    ending(trailers) {
      const told = trailers ?? new Headers();
      const prefix = `x-envoy-decompressor-${library.name}`;
      told.set(`${prefix}-compressed-bytes`, String(bytes.compressed));
      told.set(`${prefix}-uncompressed-bytes`, String(bytes.uncompressed));
      return told;
    },
  });
}

/** What cannot be read must not look whole. */
const badRequest: LocalReply = {
  kind: 'reply',
  status: 400,
  headers: [],
  body: 'the body cannot be decompressed',
  details: 'request_decompression_failed',
};
const badResponse: LocalReply = {
  kind: 'reply',
  status: 502,
  headers: [],
  body: '',
  details: 'response_decompression_failed',
};
