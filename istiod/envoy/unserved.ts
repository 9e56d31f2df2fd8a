/** What the status says of kinds and parts of which Istio makes something and nothing here does. Pure. */
import type { Sidecar } from '../../common/kube/kinds/istio/sidecar.ts';
import type { Telemetry } from '../../common/kube/kinds/istio/telemetry.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import type { ExtensionProvider, MeshView } from './inputs.ts';
import { ineffective, type RouteConditions } from './routes/status.ts';
import { mistakeIn } from './telemetry/expressions.ts';
import { providerMistake, providerNamed } from './telemetry/logging.ts';
import { collectorOf } from './telemetry/tracing.ts';

/** By kind. */
const reasons: Readonly<Record<string, string>> = {
  EnvoyFilter:
    'what istiod makes for waypoints is not patched, and node proxies are no Envoys; use VirtualService, DestinationRule and AuthorizationPolicy',
  WasmPlugin:
    'waypoints run no Wasm, only modules in TypeScript or JavaScript (url ends in .ts or .js); others let requests pass',
  TrafficExtension:
    'waypoints run no Wasm and no Lua, only modules in TypeScript or JavaScript (wasm.url ends in .ts or .js); others let requests pass',
};

/** undefined: what is served. */
export function unservedConditions(object: KubeObject, view: () => ProviderView): RouteConditions | undefined {
  const reason = reasonOf(object, view);
  if (reason === undefined) return undefined;
  return new Map([[ineffective, { status: 'True', reason: 'Unsupported', message: `${object.kind}: ${reason}` }]]);
}

/** What is asked of the mesh. */
export type ProviderView = Pick<MeshView, 'facts' | 'service' | 'named'>;

function reasonOf(object: KubeObject, view: () => ProviderView): string | undefined {
  switch (object.kind) {
    case 'Sidecar':
      return ofSidecar(object as Sidecar);
    case 'Telemetry':
      return ofTelemetry(object as Telemetry, view);
    default:
      return reasons[object.kind];
  }
}

/** undefined: all of it counts, at waypoints of ours. */
function ofTelemetry(telemetry: Telemetry, view: () => ProviderView): string | undefined {
  const { spec } = telemetry;
  const parts = [
    ...expressionMistakes(telemetry),
    ...unservedLogs(telemetry, view),
    ...unservedTraces(telemetry, view),
    ...(spec?.selector
      ? [
          'selector: waypoints heed targetRefs, and what is for a whole namespace (accessLogging also counts for Envoys that it selects and that take their listeners from istiod)',
        ]
      : []),
  ];
  return parts.length === 0 ? undefined : parts.join('; ');
}

/** Where logs would go to nothing that is here: those who name it have none elsewhere either. */
function unservedLogs({ spec }: Telemetry, view: () => ProviderView): readonly string[] {
  return (spec?.accessLogging ?? []).flatMap(({ providers, disabled }, i) =>
    disabled === true
      ? []
      : (providers ?? []).flatMap(({ name }, j) => {
          const reason = flawOf(view(), name, logKinds);
          return reason === undefined
            ? []
            : [`accessLogging[${i}].providers[${j}].name: ${reason}; nothing is logged by it`];
        }),
  );
}

function unservedTraces({ spec }: Telemetry, view: () => ProviderView): readonly string[] {
  return (spec?.tracing ?? []).flatMap(({ providers, disableSpanReporting }, i) =>
    disableSpanReporting === true
      ? []
      : (providers ?? []).flatMap(({ name }, j) => {
          const reason = flawOf(view(), name, traceKinds);
          return reason === undefined ? [] : [`tracing[${i}].providers[${j}].name: ${reason}; no span goes there`];
        }),
  );
}

interface Served {
  readonly kinds: readonly ExtensionProvider['kind'][];
  readonly types: string;
}

const logKinds: Served = {
  kinds: ['file', 'otlp-logs', 'http-als', 'tcp-als'],
  types: 'envoyFileAccessLog, envoyOtelAls, envoyHttpAls and envoyTcpAls take access logs',
};
const traceKinds: Served = { kinds: ['opentelemetry', 'zipkin'], types: 'opentelemetry and zipkin take spans' };

/** Why nothing comes to a provider; undefined: it does. */
function flawOf(view: ProviderView, name: string, { kinds, types }: Served): string | undefined {
  const found = providerNamed(view.facts, name);
  if (found === undefined) return `extensionProviders of MeshConfig have no ${name}`;
  if (!kinds.includes(found.kind)) return `${name} is of another type: ${types}`;
  const mistake = providerMistake(found);
  if (mistake !== undefined)
    return `logFormat of provider ${name} in extensionProviders is none that Envoy takes, ${mistake}`;
  if (!('service' in found) || collectorOf(view, found)) return undefined;
  return `${found.service} of provider ${name} is not one service of the mesh with a port ${found.port}`;
}

/** By field. */
function expressionMistakes({ spec }: Telemetry): readonly string[] {
  const tags = (spec?.metrics ?? []).flatMap(({ overrides }, i) =>
    (overrides ?? []).flatMap(({ tagOverrides }, j) =>
      Object.entries(tagOverrides ?? {}).map(
        ([tag, { value }]) => [`metrics[${i}].overrides[${j}].tagOverrides.${tag}.value`, value] as const,
      ),
    ),
  );
  const filters = (spec?.accessLogging ?? []).map(
    ({ filter }, i) => [`accessLogging[${i}].filter.expression`, filter?.expression] as const,
  );
  return [...tags, ...filters].flatMap(([path, text]) => {
    const mistake = text === undefined || text === '' ? undefined : mistakeIn(text);
    return mistake === undefined ? [] : [`${path} is no expression and left out: ${mistake}`];
  });
}

/** Istio's waypoints and node proxies heed none either. */
function ofSidecar({ spec = {} }: Sidecar): string {
  const idle = [
    ...(['ingress', 'inboundConnectionPool'] as const).filter((f) => spec[f]),
    ...(spec.egress ?? []).flatMap((e, i) =>
      (['bind', 'captureMode'] as const).filter((f) => e[f]).map((f) => `egress[${i}].${f}`),
    ),
  ];
  const rest = idle.length === 0 ? '' : `; of this one nothing heeds ${idle.join(', ')}`;
  return `egress holds for clients that read xDS themselves, as gRPC without a proxy, and with outboundTrafficPolicy for Envoys that take their listeners from istiod, not for what goes through node proxies and waypoints${rest}`;
}
