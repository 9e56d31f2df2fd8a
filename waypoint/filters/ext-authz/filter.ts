/** envoy.extensions.filters.http.ext_authz.v3: a service of the user's decides about each request. */
import { assertNever } from '../../../common/core/errors.ts';
import type { RequestView } from '../../request/view.ts';
import { happens } from '../../route/match.ts';
import {
  type FilterContext,
  type FilterEnvironment,
  type FilterKind,
  goOn,
  type HttpFilter,
  type LocalReply,
  type Verdict,
} from '../filter.ts';
import { type BodySettings, type Config, type RouteSays, readConfig, readRouteSays } from './config.ts';
import { grpcCall, grpcOutcome } from './grpc.ts';
import { httpCall, httpOutcome } from './http.ts';
import { applyEdits, editQuery, type HeaderEdit, type Metadata, type Outcome, unfitPart } from './outcome.ts';
import { type Check, checkOf } from './request.ts';

const name = 'envoy.filters.http.ext_authz';
const allowedHeader = 'x-envoy-auth-failure-mode-allowed';

export const extAuthzFilter: FilterKind = {
  type: 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
  read(fields, env) {
    const config = readConfig(fields);
    const filter: HttpFilter = {
      onRequest: (view, context) => decide(config, env, view, context),
      onResponse(_view, response, context) {
        const edits = context.recall() as readonly HeaderEdit[] | undefined;
        if (edits) applyEdits(edits, response.headers);
      },
    };
    return filter;
  },
  perRoute: {
    type: 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
    read: readRouteSays,
  },
};

function decide(config: Config, env: FilterEnvironment, view: RequestView, context: FilterContext): Verdict {
  const levels = context.perRoute.flatMap((level) => (level.kind === 'config' ? [level.config as RouteSays] : []));
  if (levels[0]?.kind === 'disabled') return goOn;
  const count = (what: string) => context.count(config.statPrefix + what);
  if (!happens(config.share, context.dice.random()) || config.enabledBy?.(view.metadata) === false) {
    count('disabled');
    return config.denyAtDisable ? refusal(config.statusOnError, 'ext_authz_error') : goOn;
  }
  const says = mergedOf(levels);
  const ask = (body: Parameters<typeof checkOf>[2]) =>
    asking(config, env, checkOf(config, view, body, says.extensions), context);
  const settings = says.withoutBody ? undefined : (says.body ?? config.body);
  if (!settings || context.bodyless || view.upgrade !== undefined || view.method === 'CONNECT') return ask(undefined);
  const then = (bytes: Buffer, whole: boolean) => (whole || settings.partial ? ask({ settings, bytes }) : tooLarge);
  // A part is enough as soon as that much has come.
  return { kind: 'body', most: settings.partial ? settings.most - 1 : settings.most, then };
}

/** Of all levels: of equal keys the most specific one's. */
function mergedOf(levels: readonly RouteSays[]): {
  readonly extensions: Readonly<Record<string, string>>;
  readonly withoutBody: boolean;
  readonly body: BodySettings | undefined;
} {
  const settings = levels.flatMap((level) => (level.kind === 'settings' ? [level] : []));
  const extensions = Object.fromEntries(settings.toReversed().flatMap((level) => level.extensions));
  const [first] = settings;
  return { extensions, withoutBody: first?.withoutBody ?? false, body: first?.body };
}

const tooLarge: LocalReply = {
  kind: 'reply',
  status: 413,
  headers: [],
  body: 'Payload Too Large',
  details: 'request_payload_too_large',
};

function asking(config: Config, env: FilterEnvironment, check: Check, context: FilterContext): Verdict {
  const { service } = config;
  const started = env.clock.now();
  return {
    kind: 'ask',
    ask(done) {
      const told = (outcome: Outcome) =>
        done(conclude(config, env, outcome, check.view, context, env.clock.now() - started));
      return service.kind === 'grpc'
        ? env.caller.grpc(grpcCall(config, service, check, context), (answer) => told(grpcOutcome(answer)))
        : env.caller.http(httpCall(service, check), (answer) => {
            // As Envoy writes into each answer to it, so that a denial may carry it.
            if (answer.kind === 'answered')
              answer.headers.set('x-envoy-upstream-service-time', String(Math.round(env.clock.now() - started)));
            told(httpOutcome(service, answer));
          });
    },
  };
}

function conclude(
  config: Config,
  env: FilterEnvironment,
  outcome: Outcome,
  view: RequestView,
  context: FilterContext,
  duration: number,
): Verdict {
  const count = (what: string) => {
    context.count(config.statPrefix + what);
    context.countOfCluster(config.statPrefix + what);
  };
  if (outcome.kind === 'error') {
    count('error');
    env.log.debug('an authorization service did not decide', { cluster: config.service.cluster, error: outcome.why });
    if (!config.failureModeAllow) return refusal(config.statusOnError, 'ext_authz_error');
    count('failure_mode_allowed');
    if (config.failureModeHeader) view.headers.append(allowedHeader, 'true');
    return goOn;
  }
  const unfit = unfitPart(outcome);
  if (unfit !== undefined) {
    context.count(`${config.statPrefix}invalid`);
    env.log.warn('an authorization service answered with what no request or answer can have', {
      cluster: config.service.cluster,
      unfit,
    });
    return { kind: 'reply', status: 500, headers: [], body: '', details: 'ext_authz_invalid' };
  }
  keepMetadata(config, outcome, context, duration);
  switch (outcome.kind) {
    case 'ok':
      count('ok');
      return admit(config, outcome, view, context);
    case 'denied':
      count('denied');
      if (config.chargesCluster) context.chargeCluster(outcome.status);
      return {
        ...refusal(outcome.status, 'ext_authz_denied'),
        headers: outcome.headers.map((header) => [header.name, header.value] as const),
        body: outcome.body,
      };
    default:
      return assertNever(outcome);
  }
}

function keepMetadata(
  config: Config,
  { kind, metadata }: { readonly kind: 'ok' | 'denied'; readonly metadata: Metadata | undefined },
  context: FilterContext,
  duration: number,
): void {
  if (!metadata || Object.keys(metadata).length === 0) return;
  if (!config.takesMetadata) context.count(`${config.statPrefix}ignored_dynamic_metadata`);
  else context.setMetadata(name, { ...metadata, ...(kind === 'ok' && { ext_authz_duration: Math.round(duration) }) });
}

function admit(
  config: Config,
  { request, remove, query, response }: Extract<Outcome, { kind: 'ok' }>,
  view: RequestView,
  context: FilterContext,
): Verdict {
  applyEdits(
    request.filter(({ name: header }) => !header.startsWith(':') && header !== 'host'),
    view.headers,
  );
  for (const { name: header, value } of request) changePseudo(view, header, value);
  for (const header of remove) if (!header.startsWith(':') && header !== 'host') view.headers.remove(header);
  view.path = editQuery(view.path, query);
  const changes = request.length + remove.length + query.set.length + query.remove.length;
  if (config.clearRouteCache && changes > 0) context.clearRoute();
  if (response.length > 0) context.remember(response);
  return goOn;
}

function changePseudo(view: RequestView, header: string, value: string): void {
  switch (header) {
    case ':path':
      view.path = value;
      break;
    case ':method':
      view.method = value;
      break;
    case ':scheme':
      view.scheme = value;
      break;
    case ':authority':
    case 'host':
      view.authority = value;
      break;
  }
}

function refusal(status: number, details: string): LocalReply {
  return { kind: 'reply', status, headers: [], body: '', details, flag: 'UAEX' };
}
