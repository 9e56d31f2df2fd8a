/** Operators that read a request's path, host and variables of the process. */
import type { FormatContext, Operator } from './format.ts';

type Source = (context: FormatContext) => string | undefined;

const isRequest = ({ request }: FormatContext) => request.method !== '';
const original =
  (header: string): Source =>
  ({ request }) =>
    request.headers.first(header);
const pathNow: Source = ({ request }) => request.path || undefined;
const hostNow: Source = ({ request }) => request.authority || undefined;
const either =
  (first: Source, second: Source): Source =>
  (context) =>
    first(context) ?? second(context);

const paths: Readonly<Record<string, Source>> = {
  ORIG: original('x-envoy-original-path'),
  PATH: pathNow,
  ORIG_OR_PATH: either(original('x-envoy-original-path'), pathNow),
};

/** `%PATH(WQ:ORIG)%`. Throws Error for other arguments. */
export function path(args: string): Operator {
  const [query = '', from = '', ...rest] = args.split(':');
  const read = chosen(paths, from, 'ORIG_OR_PATH');
  if (!read || !['', 'WQ', 'NQ'].includes(query) || rest.length > 0)
    throw new Error(`%PATH(${args})%: WQ or NQ, then ORIG, PATH or ORIG_OR_PATH are expected`);
  if (query !== 'NQ') return read;
  return (context) => read(context)?.split(/[?#]/, 1)[0];
}

const hosts: Readonly<Record<string, Source>> = {
  ORIG: original('x-envoy-original-host'),
  HOST: hostNow,
  ORIG_OR_HOST: either(original('x-envoy-original-host'), hostNow),
};

/** `%REQUESTED_SERVER_NAME(SNI_FIRST:HOST)%`. Throws Error for other arguments. */
export function serverName(args: string): Operator {
  const sni: Source = ({ request }) => request.connection.sni;
  const [kind = '', from = '', ...rest] = args.split(':');
  const host = chosen(hosts, from, 'ORIG_OR_HOST');
  const read =
    host && chosen({ SNI_ONLY: sni, SNI_FIRST: either(sni, host), HOST_FIRST: either(host, sni) }, kind, 'SNI_ONLY');
  if (!read || rest.length > 0)
    throw new Error(
      `%REQUESTED_SERVER_NAME(${args})%: SNI_ONLY, SNI_FIRST or HOST_FIRST, then ORIG, HOST or ORIG_OR_HOST are expected`,
    );
  return read;
}

/** `%QUERY_PARAMS(DECODED)%`. Throws Error for other arguments. */
export function queryParams(args: string): Operator {
  if (!['', 'ORIG', 'DECODED'].includes(args)) throw new Error(`%QUERY_PARAMS(${args})%: ORIG or DECODED is expected`);
  return (context) => {
    if (!isRequest(context)) return undefined;
    const { path: whole } = context.request;
    const at = whole.indexOf('?');
    const query = at < 0 ? '' : whole.slice(at + 1).split('#', 1)[0]!;
    if (query === '') return undefined;
    return args === 'DECODED' ? unescapeBytes(query) : query;
  };
}

/** The first of that name, decoded. */
export function queryParam(name: string): Operator {
  if (name === '') throw new Error('%QUERY_PARAM(NAME)%: a name is expected in the parentheses');
  return ({ request }) => {
    const query = request.path.split('?', 2)[1];
    const found = query?.split('&').find((pair) => pair === name || pair.startsWith(`${name}=`));
    return found === undefined ? undefined : unescapeBytes(found.slice(name.length + 1));
  };
}

/** Byte by byte, as Envoy does it. */
function unescapeBytes(text: string): string {
  return text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** `%ENVIRONMENT(NAME)%`: of this process. */
export function variable(name: string): Operator {
  if (name === '') throw new Error('%ENVIRONMENT(NAME)%: a name is expected in the parentheses');
  return ({ facts }) => facts.variable?.(name);
}

function chosen<T>(of: Readonly<Record<string, T>>, name: string, absent: string): T | undefined {
  const key = name === '' ? absent : name;
  return Object.hasOwn(of, key) ? of[key] : undefined;
}
