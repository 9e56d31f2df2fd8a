/** The access logs of a service, as Telemetry and MeshConfig ask for them. */
import { assertNever } from '../../../common/core/errors.ts';
import { formatMistake } from '../../../common/envoy/operators.ts';
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';
import { collectorLog, fileLog, meshLogs } from '../access-log.ts';
import type { ExtensionProvider, MeshFacts, MeshService, MeshView, RouteTarget } from '../inputs.ts';
import type { EnvoyProxy } from '../proxy.ts';
import type { DryRunLog } from '../rbac/dry-run.ts';
import { extension, type Message } from '../values.ts';
import { applicableTelemetries } from './applicable.ts';
import { mistakeIn } from './expressions.ts';
import { collectorOf } from './tracing.ts';

type Logging = NonNullable<NonNullable<Telemetry['spec']>['accessLogging']>[number];

export interface LogScope {
  /** undefined: what no service is behind. */
  readonly service: MeshService | undefined;
  /** Names the cluster that leads to a collector. */
  readonly cluster: (target: RouteTarget) => string;
  /** Of these alone is told, whatever else is asked for. */
  readonly only?: Message;
  /** Of its policies in dry run: in Istio's line. Default: none is. */
  readonly trials?: DryRunLog;
}

/** What accessLogFile of MeshConfig says, unless Telemetry or default providers say anything: of a waypoint as of a server, else as of a client. */
export function accessLogs(view: MeshView, proxy: EnvoyProxy, scope: LogScope): readonly Message[] {
  const { facts } = view;
  const { service, only, trials } = scope;
  const found = applicableTelemetries(view, proxy, service).flatMap(({ spec }) =>
    spec?.accessLogging?.length ? [spec.accessLogging] : [],
  );
  if (found.length === 0 && facts.defaultProviders.accessLogging.length === 0)
    return meshLogs(facts, trials).map((log) => filtered(log, only));
  return mergeLogs(found, facts.defaultProviders.accessLogging, proxy.kind === 'waypoint' ? 'CLIENT' : 'SERVER')
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, expression]) => {
      const provider = providerNamed(facts, name);
      const logger = provider && loggerOf(view, provider, scope);
      // More lines rather than none.
      const isUsable = expression !== undefined && mistakeIn(expression) === undefined;
      return logger ? [filtered(logger, only, isUsable ? celFilter(expression) : undefined)] : [];
    });
}

/** As Istio finds them. */
export function providerNamed(
  { extensionProviders }: Pick<MeshFacts, 'extensionProviders'>,
  name: string,
): ExtensionProvider | undefined {
  return extensionProviders.find((p) => p.name.toLowerCase() === name.toLowerCase());
}

/** Names of providers and expressions that choose lines, as Istio merges them for a server or a client; `other`: what it is not. */
export function mergeLogs(
  found: readonly (readonly Logging[])[],
  defaults: readonly string[],
  other: 'SERVER' | 'CLIENT',
): [name: string, filter: string | undefined][] {
  if (found.length === 0) return defaults.map((name) => [name, undefined]);
  const counts = ({ match }: Logging) => match?.mode !== other;
  let inScope = defaults;
  const filters = new Map<string, string | undefined>();
  for (const level of found) {
    const names = level.filter(counts).flatMap((l) => {
      const own = (l.providers ?? []).map((p) => p.name);
      for (const name of own) filters.set(name, l.filter?.expression || undefined);
      return own;
    });
    if (names.length > 0) inScope = names;
  }
  let parents = defaults;
  const enabled = new Map<string, boolean>();
  for (const entry of found.flat()) {
    if ((entry.providers ?? []).length > 0) parents = entry.providers!.map((p) => p.name);
    if (!counts(entry)) continue;
    for (const name of parents) if (inScope.includes(name)) enabled.set(name, entry.disabled !== true);
  }
  return [...enabled].flatMap(([name, on]): [string, string | undefined][] => (on ? [[name, filters.get(name)]] : []));
}

/** What is wrong with the formats of a provider; undefined: nothing, or it has none. */
export function providerMistake(provider: ExtensionProvider): string | undefined {
  switch (provider.kind) {
    case 'file': {
      const { format } = provider;
      if (format === undefined) return undefined;
      return mistakeOf('text' in format ? [format.text] : Object.values(format.labels));
    }
    case 'otlp-logs':
      return mistakeOf([provider.text ?? '', ...Object.values(provider.labels)]);
    default:
      return undefined;
  }
}

function mistakeOf(formats: readonly string[]): string | undefined {
  return formats.map(formatMistake).find((mistake) => mistake !== undefined);
}

/** undefined: it takes no logs, no Envoy takes its format, or its service is not in the mesh. */
function loggerOf(view: MeshView, provider: ExtensionProvider, { cluster, trials }: LogScope): Message | undefined {
  switch (provider.kind) {
    case 'file':
      return providerMistake(provider) === undefined ? fileLog(provider, view.facts, trials) : undefined;
    case 'otlp-logs':
    case 'http-als':
    case 'tcp-als': {
      const service = collectorOf(view, provider);
      // A format that no Envoy takes would cost the listener.
      if (!service || providerMistake(provider) !== undefined) return undefined;
      return collectorLog(provider, cluster({ service, port: provider.port, subset: '' }), service.hostname);
    }
    case 'prometheus':
    case 'opentelemetry':
    case 'zipkin':
    case 'authz':
    case 'unusable':
    case 'unserved':
      return undefined;
    default:
      return assertNever(provider);
  }
}

function filtered(logger: Message, ...wanted: readonly (Message | undefined)[]): Message {
  const filters = wanted.filter((filter) => filter !== undefined);
  if (filters.length === 0) return logger;
  return { ...logger, filter: filters.length === 1 ? filters[0] : { and_filter: { filters } } };
}

function celFilter(expression: string): Message {
  return {
    extension_filter: extension(
      'envoy.access_loggers.extension_filters.cel',
      'envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter',
      { expression },
    ),
  };
}
