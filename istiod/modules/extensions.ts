/** Filters of waypoints that are modules of users: WasmPlugins and TrafficExtensions whose URL names TypeScript or JavaScript. */
import { scriptConfig } from '../../common/envoy/script.ts';
import type { TrafficExtension, WasmPlugin } from '../../common/kube/kinds/istio/extensions.ts';
import { namespaceOf } from '../../common/kube/names.ts';
import type { MeshPort, MeshService, MeshView, PolicyTarget } from '../envoy/inputs.ts';
import type { WaypointProxy } from '../envoy/proxy.ts';
import { waypointClass } from '../envoy/rbac/filters.ts';
import { ineffective, type RouteConditions } from '../envoy/routes/status.ts';
import { extension, type Message } from '../envoy/values.ts';
import type { ModuleSource } from './resolver.ts';

export type Extension = WasmPlugin | TrafficExtension;
type Wasm = NonNullable<TrafficExtension['spec']['wasm']>;
export type Phase = 'AUTHN' | 'AUTHZ' | 'STATS' | 'UNSPECIFIED';

/** Names the ConfigMap of the object's namespace that has the module under the last part of its URL's path. */
export const fromConfigMap = 'aquifer.dev/module-configmap';

function wasmOf({ kind, spec }: Extension): Wasm | undefined {
  return kind === 'WasmPlugin' ? (spec as WasmPlugin['spec']) : (spec as TrafficExtension['spec']).wasm;
}

/** Where its module is; undefined: it names none that is TypeScript or JavaScript. `problem`: nothing can be had there. */
export function moduleOf(
  object: Extension,
): ModuleSource | { readonly kind: 'problem'; readonly problem: string } | undefined {
  const wasm = wasmOf(object);
  const url = URL.parse(wasm?.url ?? '');
  if (!wasm || !url || !/\.[mc]?[tj]s$/.test(url.pathname)) return undefined;
  const sha256 = wasm.sha256 ?? '';
  const problem = (text: string) => ({ kind: 'problem', problem: text }) as const;
  const name = object.metadata.annotations?.[fromConfigMap];
  const key = url.pathname.slice(url.pathname.lastIndexOf('/') + 1);
  if (name !== undefined) return { kind: 'config-map', namespace: namespaceOf(object), name, key, sha256 };
  if (wasm.type === 'NETWORK') return problem('type NETWORK: modules see HTTP alone');
  switch (url.protocol) {
    case 'https:':
      return sha256 === ''
        ? problem('url: a module from the network needs sha256, so that nobody else changes what runs')
        : { kind: 'https', url: url.href, sha256 };
    case 'file:':
      return problem(`url: a file is in a ConfigMap of its namespace, which annotation ${fromConfigMap} names`);
    default:
      return problem(
        `url: ${url.protocol} is not asked for modules; use https, or a ConfigMap by annotation ${fromConfigMap}`,
      );
  }
}

export type PhaseFilters = Readonly<Record<Phase, readonly Message[]>>;

const nothing: PhaseFilters = { AUTHN: [], AUTHZ: [], STATS: [], UNSPECIFIED: [] };

/** Those of the service's port, in the order in which requests pass them. Only our waypoint runs any. */
export function extensionFilters(
  view: MeshView,
  proxy: WaypointProxy,
  service: MeshService,
  port: MeshPort,
): PhaseFilters {
  if (proxy.engine !== 'aquifer') return nothing;
  const objects = extensionsFor(view, proxy, service).filter((object) => holds(object, port));
  if (objects.length === 0) return nothing;
  const sorted = objects.toSorted(
    (a, b) => (b.spec.priority ?? 0) - (a.spec.priority ?? 0) || (keyOf(a) < keyOf(b) ? -1 : 1),
  );
  const of = (phase: Phase) =>
    sorted.filter((object) => phaseOf(object) === phase).flatMap((object) => filterOf(view, object));
  return { AUTHN: of('AUTHN'), AUTHZ: of('AUTHZ'), STATS: of('STATS'), UNSPECIFIED: of('UNSPECIFIED') };
}

function extensionsFor(view: MeshView, { gateway }: WaypointProxy, service: MeshService): readonly Extension[] {
  const targets: readonly PolicyTarget[] = [
    `Gateway/${gateway as `${string}/${string}`}`,
    `${service.kind}/${service.namespace}/${service.name}`,
  ];
  const ofClass = view
    .extensions(`GatewayClass/${waypointClass}`)
    .filter((e) => namespaceOf(e) === view.facts.rootNamespace);
  return [...new Set([...ofClass, ...targets.flatMap((target) => view.extensions(target))])];
}

function phaseOf({ spec: { phase } }: Extension): Phase {
  return phase === 'AUTHN' || phase === 'AUTHZ' || phase === 'STATS' ? phase : 'UNSPECIFIED';
}

/** Waypoints stand before servers: what is said of clients alone is not about them. */
function holds({ spec: { match = [] } }: Extension, { number }: MeshPort): boolean {
  return (
    match.length === 0 ||
    match.some(
      ({ mode, ports = [] }) =>
        mode !== 'CLIENT' && (ports.length === 0 || ports.some((port) => port.number === number)),
    )
  );
}

function keyOf(object: Extension): string {
  return `${object.kind}/${namespaceOf(object)}/${object.metadata.name}`;
}

/** None: it is Wasm or Lua, which nothing runs. A module that cannot be had fails as its object declares. */
function filterOf(view: MeshView, object: Extension): readonly Message[] {
  const source = moduleOf(object);
  if (source === undefined) return [];
  const { problem, code, sha256 } = found(view, source);
  const wasm = wasmOf(object);
  const name = keyOf(object).toLowerCase();
  return [
    extension(name, scriptConfig, {
      name,
      source: code ?? `throw new Error(${JSON.stringify(problem)});`,
      sha256: sha256 ?? '',
      config: JSON.stringify(wasm?.pluginConfig ?? {}),
      fail_open: wasm?.failStrategy === 'FAIL_OPEN',
    }),
  ];
}

interface Found {
  readonly code?: string;
  readonly sha256?: string;
  readonly problem?: string;
}

function found(view: MeshView, source: NonNullable<ReturnType<typeof moduleOf>>): Found {
  return source.kind === 'problem' ? source : view.filterModule(source);
}

/** What the status says; undefined: it names no module of ours. */
export function extensionConditions(view: MeshView, object: Extension): RouteConditions | undefined {
  const source = moduleOf(object);
  if (source === undefined) return undefined;
  const { problem } = found(view, source);
  const open = wasmOf(object)?.failStrategy === 'FAIL_OPEN';
  const targets =
    object.spec.targetRefs ?? ('targetRef' in object.spec && object.spec.targetRef ? [object.spec.targetRef] : []);
  const wasm = wasmOf(object);
  const ignored = (['verificationKey', 'imagePullSecret', 'vmConfig'] as const).filter(
    (field) => wasm?.[field] !== undefined,
  );
  const idle = [
    ...(problem === undefined ? [] : [`${problem}: ${open ? 'requests pass' : 'requests are refused'}`]),
    ...(targets.length === 0
      ? ['targetRefs: modules run at waypoints; name a Gateway of one, or a Service behind one']
      : []),
    ...envoys(view, object, targets),
    ...(ignored.length === 0 ? [] : [`${ignored.join(', ')}: of no effect for modules`]),
  ];
  const unsupported = problem === undefined && envoys(view, object, targets).length > 0;
  return new Map([
    [
      ineffective,
      idle.length === 0
        ? undefined
        : { status: 'True', reason: unsupported ? 'Unsupported' : 'Ineffective', message: idle.join('; ') },
    ],
  ]);
}

type Target = NonNullable<Extension['spec']['targetRefs']>[number];

/** Its targets that a stock Envoy serves. */
function envoys(view: MeshView, object: Extension, targets: readonly Target[]): readonly string[] {
  const namespace = namespaceOf(object);
  return targets.flatMap(({ kind, name }) => {
    const waypoint =
      kind === 'Gateway'
        ? `${namespace}/${name}`
        : kind === 'Service' || kind === 'ServiceEntry'
          ? view.ofObject(kind, namespace, name)?.waypoint
          : undefined;
    const image = waypoint && view.waypoint(waypoint)?.gateway.metadata.annotations?.['sidecar.istio.io/proxyImage'];
    return image
      ? [`${kind} ${name}: its waypoint ${waypoint} is run by ${image}, which runs no modules; requests pass`]
      : [];
  });
}
