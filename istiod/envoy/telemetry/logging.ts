/** The access logs of a service, as Telemetry and MeshConfig ask for them. */
import { assertNever } from '../../../common/core/errors.ts';
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';
import { accessLog, fileLog } from '../access-log.ts';
import type { ExtensionProvider, MeshFacts, MeshService, MeshView } from '../inputs.ts';
import type { WaypointProxy } from '../proxy.ts';
import { extension, type Message } from '../values.ts';
import { applicableTelemetries } from './applicable.ts';
import { mistakeIn } from './expressions.ts';

type Logging = NonNullable<NonNullable<Telemetry['spec']>['accessLogging']>[number];

/** What accessLogFile of MeshConfig says, unless Telemetry or default providers say anything. */
export function accessLogs(view: MeshView, proxy: WaypointProxy, service: MeshService | undefined): readonly Message[] {
  const { facts } = view;
  const found = applicableTelemetries(view, proxy, service).flatMap(({ spec }) =>
    spec?.accessLogging?.length ? [spec.accessLogging] : [],
  );
  if (found.length === 0 && facts.defaultProviders.accessLogging.length === 0) return accessLog(facts);
  return mergeLogs(found, facts.defaultProviders.accessLogging)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, filter]) => {
      const provider = facts.extensionProviders.find((p) => p.name.toLowerCase() === name.toLowerCase());
      return provider === undefined ? [] : logOf(provider, filter, facts);
    });
}

/** Names of providers and expressions that choose lines, as Istio merges them for a server. */
export function mergeLogs(
  found: readonly (readonly Logging[])[],
  defaults: readonly string[],
): [name: string, filter: string | undefined][] {
  if (found.length === 0) return defaults.map((name) => [name, undefined]);
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

function counts({ match }: Logging): boolean {
  return match?.mode !== 'CLIENT';
}

function logOf(provider: ExtensionProvider, expression: string | undefined, facts: MeshFacts): readonly Message[] {
  // More lines rather than none.
  const isUsable = expression !== undefined && mistakeIn(expression) === undefined;
  const filter = isUsable ? celFilter(expression) : undefined;
  switch (provider.kind) {
    case 'file':
      return [fileLog(provider, facts, filter)];
    case 'prometheus':
    case 'opentelemetry':
    case 'zipkin':
    case 'authz':
    case 'unusable':
    case 'unserved':
      return [];
    default:
      return assertNever(provider);
  }
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
