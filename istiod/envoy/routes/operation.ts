/** How spans of requests are named: where they go, or who sends them there. */
import type { RouteContext } from '../inputs.ts';
import type { Action, RouteMatch } from './envoy.ts';

export function operationOf(context: RouteContext, action: Action, match: RouteMatch, object: string): string {
  const cluster = 'route' in action ? action.route.cluster : undefined;
  const [, port, , hostname] = cluster?.split('|') ?? [];
  const path = match.path ?? match.safe_regex?.regex ?? `${match.path_separated_prefix ?? match.prefix}*`;
  return hostname === undefined ? `${object}:${context.port.number}${path}` : `${hostname}:${port}${path}`;
}
