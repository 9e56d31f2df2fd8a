/** envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication. */
import type { Fields } from '../../../common/envoy/fields.ts';
import { withoutQuery } from '../../request/path.ts';
import type { RequestView } from '../../request/view.ts';
import { RouteIndex } from '../../route/index.ts';
import { type RouteMatch, readMatch } from '../../route/match.ts';
import { accepts } from '../../route/table.ts';
import { type FilterContext, type FilterKind, goOn, type HttpFilter, mostSpecific, type Verdict } from '../filter.ts';
import { type Provider, readProvider } from './provider.ts';
import { type Judgement, type Requirement, readRequirement } from './requirement.ts';
import { type JwtStatus, statuses } from './status.ts';

const name = 'envoy.filters.http.jwt_authn';

export const jwtFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication',
  read(fields) {
    const config = readConfig(fields);
    const filter: HttpFilter = {
      onRequest(view, context) {
        if (config.skipsPreflight && isPreflight(view)) {
          context.count('jwt_authn.cors_preflight_bypassed');
          return goOn;
        }
        return judge(config, view, context);
      },
    };
    return filter;
  },
  perRoute: {
    type: 'type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig',
    read: (fields): RouteSays => {
      if (fields.which('disabled', 'requirement_name') === 'disabled') {
        if (!fields.flag('disabled')) throw fields.refusal('disabled', 'must be true');
        return { kind: 'disabled' };
      }
      return { kind: 'requirement', name: fields.text('requirement_name') };
    },
  },
};

type RouteSays = { readonly kind: 'disabled' } | { readonly kind: 'requirement'; readonly name: string };

interface Config {
  readonly rules: readonly Rule[];
  readonly index: RouteIndex<Rule>;
  readonly named: ReadonlyMap<string, Requirement>;
  readonly skipsPreflight: boolean;
  readonly tellsNothing: boolean;
}

interface Rule {
  readonly match: RouteMatch;
  /** undefined: nothing is required. */
  readonly requirement: Requirement | undefined;
}

function readConfig(fields: Fields): Config {
  const providers = new Map<string, Provider>(
    fields.map('providers').map(([key, f]) => [key, readProvider(key, f)] as const),
  );
  const named = new Map(fields.map('requirement_map').map(([key, f]) => [key, readRequirement(f, providers)] as const));
  const rules = fields.readAll('rules', (f) => {
    const match = f.required('match', readMatch);
    const which = f.which('requires', 'requirement_name');
    if (which !== 'requirement_name')
      return { match, requirement: f.read('requires', (r) => readRequirement(r, providers)) };
    const requirement = named.get(f.text(which));
    if (!requirement) throw f.refusal(which, `there is no requirement ${JSON.stringify(f.text(which))}`);
    return { match, requirement };
  });
  return {
    rules,
    index: new RouteIndex(rules),
    named,
    skipsPreflight: fields.flag('bypass_cors_preflight'),
    tellsNothing: fields.flag('strip_failure_response'),
  };
}

function isPreflight({ method, headers }: RequestView): boolean {
  return method === 'OPTIONS' && !!headers.first('origin') && !!headers.first('access-control-request-method');
}

function judge(config: Config, view: RequestView, context: FilterContext): Verdict {
  const says = mostSpecific<RouteSays>(context);
  if (says?.kind === 'disabled') return goOn;
  let requirement: Requirement | undefined;
  if (says) {
    requirement = config.named.get(says.name);
    if (!requirement) {
      const text = `Wrong requirement_name: ${says.name}. It should be one of [${[...config.named.keys()].join(', ')}]`;
      context.count('jwt_authn.denied');
      return {
        kind: 'reply',
        status: 403,
        headers: [],
        body: `Failed JWT authentication: ${text}`,
        details: detailsOf(text),
      };
    }
  } else {
    const path = withoutQuery(view.path);
    const at = config.index.find(path, view.method === 'CONNECT', ({ match }) =>
      accepts(match, path, view, context.dice),
    );
    requirement = config.rules[at]?.requirement;
  }
  const uri = uriOf(view);
  const request: Judgement = {
    view,
    now: Math.floor(context.now() / 1_000),
    metadata: {},
    clearsRoute: false,
    count: (what) => context.count(what),
  };
  const status = requirement?.(request) ?? statuses.ok;
  if (status !== statuses.ok) {
    context.count('jwt_authn.denied');
    return denied(status, uri, config.tellsNothing);
  }
  context.count('jwt_authn.allowed');
  if (Object.keys(request.metadata).length > 0) context.setMetadata(name, request.metadata);
  if (request.clearsRoute) context.clearRoute();
  return goOn;
}

/** Longer paths are cut off in what callers are told. */
const longestPath = 256;

function uriOf({ scheme, authority, path, headers }: RequestView): string {
  const original = headers.first('x-envoy-original-path') ?? path;
  return `${headers.first('x-forwarded-proto') ?? scheme}://${authority}${original.slice(0, longestPath)}`;
}

function denied(status: JwtStatus, uri: string, tellsNothing: boolean): Verdict {
  const error = status === statuses.missing ? '' : ', error="invalid_token"';
  return {
    kind: 'reply',
    status: status === statuses.audience ? 403 : 401,
    headers: tellsNothing ? [] : [['www-authenticate', `Bearer realm="${uri}"${error}`]],
    body: tellsNothing ? '' : status,
    details: detailsOf(status),
  };
}

function detailsOf(text: string): string {
  return `jwt_authn_access_denied{${text.replaceAll(/\s/g, '_')}}`;
}
