/** What a route does to the request on its way out, and to the response on its way back; Envoy's order. */
import type { FormatContext } from '../format/format.ts';
import { applyHeaderOps } from '../format/header-ops.ts';
import { withoutQuery } from '../request/path.ts';
import { firstHeaderOf, type RequestView, type ResponseView } from '../request/view.ts';
import { rewritePath } from './rewrite.ts';
import type { Decided, Forward, HostRewrite } from './types.ts';

export interface RequestChange {
  /** Whether the upstream is told by x-envoy-original-path and x-envoy-original-host what it was: the router's suppress_envoy_headers. */
  readonly tellsOriginal: boolean;
  /** The name of the host that was chosen, for `auto_host_rewrite`. */
  readonly upstreamName: string | undefined;
}

/** Changes the view that it is given. */
export function applyToRequest(
  decision: Decided & Forward,
  view: RequestView,
  context: FormatContext,
  { tellsOriginal, upstreamName }: RequestChange,
): void {
  const { route, hostRewrite, entryHost, entryOps } = decision;
  if (entryOps) applyHeaderOps(entryOps, view.headers, context);
  if (entryHost !== undefined) view.authority = entryHost;
  for (const ops of decision.requestOps) applyHeaderOps(ops, view.headers, context);
  const host = hostRewrite && newHost(hostRewrite, view, upstreamName);
  if (host !== undefined && host !== '') {
    if (route.appendForwardedHost) appendForwardedHost(view);
    if (tellsOriginal && !view.headers.has('x-envoy-original-host'))
      view.headers.set('x-envoy-original-host', view.authority);
    view.authority = host;
  }
  const { pathRewrite, match } = route;
  if (pathRewrite === undefined || view.path === '') return;
  rewriteTo(rewritePath(view.path, pathRewrite, match), view, tellsOriginal);
}

/** Changes the path, where a new one is given. */
export function rewriteTo(path: string | undefined, view: RequestView, tellsOriginal: boolean): void {
  if (path === undefined) return;
  const original = view.path;
  view.path = path;
  if (tellsOriginal) view.headers.set('x-envoy-original-path', original);
}

function newHost(rewrite: HostRewrite, view: RequestView, upstreamName: string | undefined): string | undefined {
  switch (rewrite.kind) {
    case 'literal':
      return rewrite.host;
    case 'upstream':
      return upstreamName;
    case 'header':
      return firstHeaderOf(view, rewrite.name);
    case 'path':
      return rewrite.substitute(withoutQuery(view.path));
  }
}

/** Not twice in a row. */
function appendForwardedHost(view: RequestView): void {
  const before = view.headers.get('x-forwarded-host');
  if (before?.split(',').at(-1) === view.authority) return;
  view.headers.set('x-forwarded-host', before === undefined ? view.authority : `${before},${view.authority}`);
}

/** Also for answers of our own by `direct` and `redirect`. */
export function applyToResponse(decision: Decided, response: ResponseView, context: FormatContext): void {
  for (const ops of decision.responseOps) applyHeaderOps(ops, response.headers, context);
}
