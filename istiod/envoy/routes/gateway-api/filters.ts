/** Filters of HTTPRoutes and GRPCRoutes, of a rule or of one of its backends. */
import type { HttpRoute } from '../../../../common/kube/kinds/gateway-api/http-route.ts';
import type { RouteContext } from '../../inputs.ts';
import type { Extension, HeaderChanges, MirrorPolicy, RedirectAction, RegexRewrite, RouteMatch } from '../envoy.ts';
import { gatewayCors } from '../filters.ts';
import { gatewayHeaders } from '../headers.ts';
import { quoteRegex } from '../matchers.ts';
import { portShown, redirectCode } from '../redirects.ts';
import { runtimeFraction } from '../values.ts';
import { findBackend } from './backends.ts';

type Rule = NonNullable<HttpRoute['spec']['rules']>[number];
/** Those of GRPCRoutes are among them. */
export type Filter = NonNullable<Rule['filters']>[number];
type PathModifier = NonNullable<NonNullable<Filter['urlRewrite']>['path']>;

export interface Filters {
  readonly changes: HeaderChanges;
  readonly host: string | undefined;
  readonly rewrite: ((match: RouteMatch) => PathRewrite | undefined) | undefined;
  readonly redirect: ((match: RouteMatch) => RedirectAction) | undefined;
  readonly mirrors: readonly MirrorPolicy[];
  readonly cors: Extension | undefined;
}

export type PathRewrite = { readonly prefix_rewrite: string } | { readonly regex_rewrite: RegexRewrite };

export type FilterProblem =
  /** Requests that match are refused. */
  | { readonly kind: 'refused'; readonly field: string; readonly message: string }
  /** Nothing is mirrored. */
  | {
      readonly kind: 'unresolved';
      readonly field: string;
      readonly message: string;
      readonly reason: 'BackendNotFound' | 'RefNotPermitted' | 'InvalidKind';
    };

export function readFilters(
  context: RouteContext,
  filters: readonly Filter[] | undefined,
  namespace: string,
): { readonly filters: Filters; readonly problems: readonly FilterProblem[] } {
  const problems: FilterProblem[] = [];
  const mirrors: MirrorPolicy[] = [];
  const of = <K extends keyof Filter>(name: K) => filters?.find((f) => f[name] !== undefined)?.[name];
  filters?.forEach((filter, i) => {
    const field = `filters[${i}]`;
    if (filter.type === 'RequestMirror' && filter.requestMirror !== undefined) {
      const { backendRef, percent, fraction } = filter.requestMirror;
      const backend = findBackend(context, backendRef, namespace);
      const share =
        fraction === undefined ? (percent ?? 100) : (100 * fraction.numerator) / (fraction.denominator ?? 100);
      if (backend.kind === 'unresolved') {
        const { reason, message } = backend;
        const at = `${field}.requestMirror.backendRef.${backend.field}`;
        problems.push({ kind: 'unresolved', field: at, reason, message });
      } else if (share > 0) {
        const { cluster } = backend;
        mirrors.push({ cluster, runtime_fraction: runtimeFraction(share), trace_sampled: { value: false } });
      }
    } else if (!known.has(filter.type)) {
      const message = `${filter.type} is not known here: requests that match are refused; remove it`;
      problems.push({ kind: 'refused', field, message });
    }
  });
  const [urlRewrite, requestRedirect, cors] = [of('urlRewrite'), of('requestRedirect'), of('cors')];
  const { changes, host } = gatewayHeaders(of('requestHeaderModifier'), of('responseHeaderModifier'));
  const path = urlRewrite?.path;
  return {
    filters: {
      changes,
      host: urlRewrite?.hostname ?? host,
      rewrite: path === undefined ? undefined : (match) => rewriteOf(path, match),
      redirect:
        requestRedirect === undefined ? undefined : (match) => redirectOf(requestRedirect, match, context.port.number),
      mirrors,
      cors: cors === undefined ? undefined : gatewayCors(cors),
    },
    problems,
  };
}

const known = new Set([
  'RequestHeaderModifier',
  'ResponseHeaderModifier',
  'RequestMirror',
  'RequestRedirect',
  'URLRewrite',
  'CORS',
]);

/** Envoy's substitutions know groups by a backslash. */
function literally(text: string): string {
  return text.replaceAll('\\', '\\\\');
}

function rewriteOf(path: PathModifier, match: RouteMatch): PathRewrite | undefined {
  if (path.replaceFullPath !== undefined) {
    const whole = path.replaceFullPath === '' ? '/' : path.replaceFullPath;
    return { regex_rewrite: { pattern: { regex: '^/.*$' }, substitution: literally(whole) } };
  }
  return path.replacePrefixMatch === undefined ? undefined : replacePrefix(path.replacePrefixMatch, match);
}

/**
 * Prefixes are made of whole parts between slashes, so `/foo` replaced by `/` makes `/` of `/foo` and `/bar` of `/foo/bar`, without a
 * double slash.
 */
function replacePrefix(replacement: string, match: RouteMatch): PathRewrite {
  const prefix = replacement.replace(/\/+$/, '');
  if (match.path_separated_prefix === undefined) return { prefix_rewrite: `${prefix}/` };
  if (prefix !== '') return { prefix_rewrite: prefix };
  const regex = `^${quoteRegex(match.path_separated_prefix)}/?(.*)$`;
  return { regex_rewrite: { pattern: { regex }, substitution: '/\\1' } };
}

/** Without a port it is the usual one of the new scheme, or without one the port that was asked. */
function redirectOf(
  redirect: NonNullable<Filter['requestRedirect']>,
  match: RouteMatch,
  requestPort: number,
): RedirectAction {
  const { scheme, hostname, path, port, statusCode } = redirect;
  const shown = portShown(port ?? (scheme === undefined ? requestPort : undefined), scheme ?? 'http');
  const target =
    path?.replaceFullPath !== undefined
      ? { path_redirect: path.replaceFullPath === '' ? '/' : path.replaceFullPath }
      : path?.replacePrefixMatch !== undefined
        ? replacePrefix(path.replacePrefixMatch, match)
        : {};
  return {
    ...(hostname === undefined ? {} : { host_redirect: hostname }),
    ...(scheme === undefined ? {} : { scheme_redirect: scheme }),
    ...(shown === undefined ? {} : { port_redirect: shown }),
    ...target,
    response_code: redirectCode(statusCode ?? 302),
  };
}
