/** envoy.extensions.filters.http.compressor.v3.Compressor: bodies are compressed as they stream, of responses, and of requests where asked. */
import type { Fields } from '../../../common/envoy/fields.ts';
import type { Headers } from '../../request/headers.ts';
import type { RequestView, ResponseView } from '../../request/view.ts';
import { type FilterContext, type FilterKind, type HttpFilter, type LocalReply, mostSpecific } from '../filter.ts';
import type { Onward, Participant, RequestStage, ResponseStage } from '../stream.ts';
import { Coding, through } from './coding.ts';
import { type Chosen, chooseEncoding } from './encoding.ts';
import { type Library, readLibrary } from './library.ts';

interface Direction {
  readonly enabled: boolean;
  readonly minimum: number;
  /** In lower case. */
  readonly types: ReadonlySet<string>;
}

interface Compressor {
  readonly library: Library;
  readonly request: Direction | undefined;
  readonly response: Direction & { readonly keepsEtag: boolean; readonly hidesAccept: boolean };
  /** `common`: of what was accepted. */
  readonly statPrefix: { readonly request: string; readonly response: string; readonly common: string };
}

type PerRoute =
  | { readonly kind: 'disabled' }
  | { readonly kind: 'overrides'; readonly hidesAccept: boolean | undefined };

const types = 'type.googleapis.com/envoy.extensions.filters.http.compressor.v3.';

export const compressorFilter: FilterKind = {
  type: `${types}Compressor`,
  read(fields) {
    const config = readCompressor(fields);
    const filter: HttpFilter = {
      onRequest(view, context) {
        const perRoute = mostSpecific<PerRoute>(context);
        const enabled = perRoute?.kind !== 'disabled' && config.response.enabled;
        const accepted = view.headers.first('accept-encoding');
        const chain = chainOf(view);
        chain.compressors.push(config);
        const hides = perRoute?.kind === 'overrides' ? perRoute.hidesAccept : undefined;
        if (enabled && (hides ?? config.response.hidesAccept)) view.headers.remove('accept-encoding');
        return {
          kind: 'stream',
          open: (request, response): Participant => {
            const compressing: Coding[] = [];
            const compress = (onward: Onward, statPrefix: string) => {
              const made = new Coding(onward, config.library.make(), {
                took: (bytes) => context.count(`${statPrefix}total_uncompressed_bytes`, bytes),
                gave: (bytes) => {
                  context.count(`${statPrefix}total_compressed_bytes`, bytes);
                  return true;
                },
                failed: () => onward.reply(compressionFailed),
              });
              compressing.push(made);
              return made;
            };
            const { request: ofRequests, statPrefix } = config;
            const asks = perRoute?.kind !== 'disabled' && ofRequests?.enabled === true;
            if (!asks) context.count(`${statPrefix.request}not_compressed`);
            return {
              ...(asks && {
                request: requestStage(view, ofRequests, config, context, request, () =>
                  compress(request, statPrefix.request),
                ),
              }),
              response: responseStage({ ...config, enabled, accepted, chain }, context, response, () =>
                compress(response, statPrefix.response),
              ),
              closed: () => {
                for (const one of compressing) one.close();
              },
            };
          },
        };
      },
    };
    return filter;
  },
  perRoute: { type: `${types}CompressorPerRoute`, read: readPerRoute },
};

function readCompressor(fields: Fields): Compressor {
  const library = fields.required('compressor_library', readLibrary);
  const ofResponses = fields.message('response_direction_config');
  const ofRequests = fields.message('request_direction_config');
  const prefix = `compressor.${library.statName}.`;
  // What a later version says elsewhere counts only where that is not there.
  const older = {
    enabled: fields.read('runtime_enabled', readFlag) ?? true,
    minimum: fields.wrapped('content_length') || defaultMinimum,
    types: typesOf(fields.texts('content_type')),
    keepsEtag: fields.flag('disable_on_etag_header'),
    hidesAccept: fields.flag('remove_accept_encoding_header'),
  };
  return {
    library,
    request: ofRequests && readDirection(ofRequests),
    response: ofResponses
      ? {
          ...readDirection(ofResponses),
          keepsEtag: ofResponses.flag('disable_on_etag_header'),
          hidesAccept: ofResponses.flag('remove_accept_encoding_header'),
        }
      : older,
    statPrefix: { request: `${prefix}request.`, response: ofResponses ? `${prefix}response.` : prefix, common: prefix },
  };
}

const compressionFailed: LocalReply = {
  kind: 'reply',
  status: 500,
  headers: [],
  body: '',
  details: 'compression_failed',
};

const defaultMinimum = 30;

function readDirection(fields: Fields): Direction {
  const common = fields.message('common_config');
  return {
    enabled: common?.read('enabled', readFlag) ?? true,
    minimum: common?.wrapped('min_content_length') || defaultMinimum,
    types: typesOf(common?.texts('content_type') ?? []),
  };
}

/** There is no runtime layer that could override it. */
function readFlag(fields: Fields): boolean {
  fields.harmless('runtime_key');
  return fields.wrappedFlag('default_value') ?? true;
}

const defaultTypes: ReadonlySet<string> = new Set([
  'text/html',
  'text/plain',
  'text/css',
  'application/javascript',
  'application/x-javascript',
  'text/javascript',
  'text/x-javascript',
  'text/ecmascript',
  'text/js',
  'text/jscript',
  'text/x-js',
  'application/ecmascript',
  'application/x-json',
  'application/xml',
  'application/json',
  'image/svg+xml',
  'text/xml',
  'application/xhtml+xml',
]);

function typesOf(given: readonly string[]): ReadonlySet<string> {
  return given.length === 0 ? defaultTypes : new Set(given.map((type) => type.toLowerCase()));
}

function readPerRoute(fields: Fields): PerRoute {
  if (fields.which('disabled', 'overrides') === 'disabled') {
    if (!fields.flag('disabled')) fields.mistake('disabled', 'must be true');
    return { kind: 'disabled' };
  }
  const response = fields.message('overrides')?.message('response_direction_config');
  return { kind: 'overrides', hidesAccept: response?.wrappedFlag('remove_accept_encoding_header') };
}

/** All compressors that a request passes: they decide together, once. */
interface Chain {
  readonly compressors: Compressor[];
  chosen: Chosen | undefined;
}

const chains = new WeakMap<RequestView, Chain>();

function chainOf(view: RequestView): Chain {
  let chain = chains.get(view);
  if (!chain) {
    chain = { compressors: [], chosen: undefined };
    chains.set(view, chain);
  }
  return chain;
}

function requestStage(
  { headers }: RequestView,
  direction: Direction,
  { library, statPrefix }: Compressor,
  context: FilterContext,
  onward: Onward,
  make: () => Coding,
): RequestStage {
  let compressing: Coding | undefined;
  const count = (name: string) => context.count(statPrefix.request + name);
  return {
    head(ended) {
      const isLong = isLongEnough(headers, direction, count);
      if (ended || !isLong || !isTypeAllowed(headers, direction) || headers.has('content-encoding'))
        count('not_compressed');
      else {
        headers.remove('content-length');
        headers.set('content-encoding', library.encoding);
        count('compressed');
        compressing = make();
      }
      onward.head(ended);
    },
    ...through(onward, () => compressing),
  };
}

function responseStage(
  config: Compressor & { readonly enabled: boolean; readonly accepted: string | undefined; readonly chain: Chain },
  context: FilterContext,
  onward: Onward,
  make: () => Coding,
): ResponseStage {
  let compressing: Coding | undefined;
  const count = (name: string) => context.count(config.statPrefix.response + name);
  const countCommon = (name: string) => context.count(config.statPrefix.common + name);
  return {
    head({ status, headers }: ResponseView, ended) {
      const { response, library } = config;
      const isLong = config.enabled && isLongEnough(headers, response, count);
      const isCompressible =
        isLong &&
        isTypeAllowed(headers, response) &&
        !hasToken(headers.first('cache-control'), 'no-transform') &&
        mayHaveEtag(headers, response.keepsEtag, countCommon) &&
        !headers.has('content-encoding') &&
        status !== 101;
      if (!ended && isLong && isChosen(config, headers, countCommon) && isCompressible) {
        const etag = headers.first('etag');
        if (etag !== undefined && !/^w\//i.test(etag)) headers.remove('etag');
        headers.remove('content-length');
        headers.set('content-encoding', library.encoding);
        count('compressed');
        compressing = make();
      } else count('not_compressed');
      // Caches before us shall know that there is another form, also where this client takes none.
      if (isCompressible) vary(headers);
      onward.head(ended);
    },
    ...through(onward, () => compressing),
  };
}

function isLongEnough(headers: Headers, { minimum }: Direction, count: (name: string) => void): boolean {
  const length = headers.first('content-length');
  if (length === undefined || Number(length) >= minimum) return true;
  count('content_length_too_small');
  return false;
}

function isTypeAllowed(headers: Headers, { types: allowed }: Direction): boolean {
  const type = headers.first('content-type');
  return type === undefined || allowed.has(mediaType(type));
}

function mediaType(contentType: string): string {
  return contentType.split(';', 1)[0]!.trim().toLowerCase();
}

function mayHaveEtag(headers: Headers, keepsEtag: boolean, count: (name: string) => void): boolean {
  if (!keepsEtag || !headers.has('etag')) return true;
  count('not_compressed_etag');
  return false;
}

function hasToken(value: string | undefined, token: string): boolean {
  return value?.split(',').some((part) => part.trim().toLowerCase() === token) ?? false;
}

function isChosen(
  {
    accepted,
    chain,
    library,
  }: { readonly accepted: string | undefined; readonly chain: Chain; readonly library: Library },
  headers: Headers,
  count: (name: string) => void,
): boolean {
  if (accepted === undefined) {
    count('no_accept_header');
    return false;
  }
  chain.chosen ??= chooseEncoding(accepted, offered(chain, headers));
  const { encoding, why } = chain.chosen;
  const isOurs = encoding.toLowerCase() === library.encoding;
  switch (why) {
    case 'compressor':
      count(isOurs ? 'header_compressor_used' : 'header_compressor_overshadowed');
      break;
    case 'identity':
      count('header_identity');
      break;
    case 'wildcard':
      count('header_wildcard');
      break;
    case 'not-valid':
      count('header_not_valid');
  }
  return isOurs;
}

function offered({ compressors }: Chain, headers: Headers): readonly string[] {
  const fitting = compressors.filter(({ response }) => isTypeAllowed(headers, response));
  return [...new Set(fitting.map(({ library }) => library.encoding))];
}

function vary(headers: Headers): void {
  const before = headers.first('vary');
  if (before === undefined) headers.set('vary', 'Accept-Encoding');
  else if (!before.split(',').some((part) => part.trim() === 'Accept-Encoding'))
    headers.set('vary', `${before}, Accept-Encoding`);
}
