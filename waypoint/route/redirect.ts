/** envoy.config.route.v3.RedirectAction. */
import type { Fields } from '../../common/envoy/fields.ts';
import { portStart } from '../request/host.ts';
import { withoutQuery } from '../request/path.ts';
import type { RequestView } from '../request/view.ts';
import type { PathMatch } from './match.ts';
import { readRedirectRewrite, rewritePath } from './rewrite.ts';

const statuses = {
  MOVED_PERMANENTLY: 301,
  FOUND: 302,
  SEE_OTHER: 303,
  TEMPORARY_REDIRECT: 307,
  PERMANENT_REDIRECT: 308,
} as const;

export interface Redirect {
  readonly status: number;
  location(view: RequestView): string;
  /** The path that it rewrites the request's to, where it rewrites one. */
  rewritten(view: RequestView): string | undefined;
}

export function readRedirect(fields: Fields, match: PathMatch): Redirect {
  const status = fields.choice<number>('response_code', 'MOVED_PERMANENTLY', statuses) ?? 301;
  const scheme = fields.flag('https_redirect') ? 'https' : fields.text('scheme_redirect');
  const host = fields.text('host_redirect');
  const port = fields.number('port_redirect');
  const path = fields.text('path_redirect');
  const rewrite = readRedirectRewrite(fields);
  if (rewrite?.kind === 'prefix' && match.kind === 'template')
    throw fields.refusal('prefix_rewrite', 'has a match without prefix');
  const stripsQuery = fields.flag('strip_query');
  const rewritten = (view: RequestView) => rewrite && rewritePath(view.path, rewrite, match);
  const newPath = (view: RequestView): string => {
    const query = view.path.slice(withoutQuery(view.path).length);
    // A query of its own takes the place of the request's.
    if (path !== '') return path.includes('?') || stripsQuery ? path : path + query;
    const changed = rewritten(view) ?? view.path;
    return stripsQuery ? withoutQuery(changed) : changed;
  };
  const location = (view: RequestView): string => {
    const newScheme = scheme === '' ? view.scheme : scheme;
    const newHost = host === '' ? requestHost(view, newScheme, port !== 0) : host;
    return `${newScheme}://${newHost}${port === 0 ? '' : `:${port}`}${newPath(view)}`;
  };
  return { status, location, rewritten };
}

/** The request's host; its port goes when another takes its place, or when it was the default of a scheme that changes. */
function requestHost(view: RequestView, newScheme: string, hasPort: boolean): string {
  const { authority, scheme } = view;
  const at = portStart(authority);
  if (at < 0) return authority;
  const port = authority.slice(at);
  const wasDefault = (scheme === 'https' && port === ':443') || (scheme === 'http' && port === ':80');
  return hasPort || (newScheme !== scheme && wasDefault) ? authority.slice(0, at) : authority;
}
