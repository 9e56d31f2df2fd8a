/** All analyzers over one world. Pure. */
import { customKinds } from '../../common/kube/schema/table.ts';
import { withoutNulls } from '../../common/kube/schema/without-nulls.ts';
import type { KubeObject } from '../../common/kube/types.ts';
import {
  analyzeAnnotations,
  analyzeBypass,
  analyzeConditions,
  analyzeNamespaces,
  analyzeRoutes,
  analyzeWaypoints,
} from './analyzers/cluster.ts';
import { analyzeGatewayClaims, analyzeIstioGateways } from './analyzers/gateways.ts';
import { analyzeEnvoyFilters, analyzeSidecars, analyzeTelemetries } from './analyzers/overlaps.ts';
import {
  analyzeEnforcement,
  analyzeKeyUrls,
  analyzeProviders,
  analyzeSelectors,
  analyzeTargets,
} from './analyzers/policies.ts';
import { analyzeClaimRoutes, analyzeClaims, analyzeDestinations, analyzeGatewaysOfRoutes } from './analyzers/routes.ts';
import { analyzeSchema } from './analyzers/schema.ts';
import { analyzeDestinationRules, analyzeEntryProtocols, analyzePortNames } from './analyzers/services.ts';
import { type Analyzer, type Message, World } from './world.ts';

export const analyzers: Readonly<Record<string, Analyzer>> = {
  'annotation.Annotations': analyzeAnnotations,
  'auth.KeyUrls': analyzeKeyUrls,
  'auth.PoliciesAtNodes': analyzeEnforcement,
  'auth.Providers': analyzeProviders,
  'auth.Selectors': analyzeSelectors,
  'auth.Targets': analyzeTargets,
  'destinationrule.Hosts': analyzeDestinationRules,
  'envoyfilter.Patches': analyzeEnvoyFilters,
  'gateway.Claims': analyzeGatewayClaims,
  'gateway.PodsAndSecrets': analyzeIstioGateways,
  'gatewayapi.References': analyzeRoutes,
  'mesh.Conditions': analyzeConditions,
  'mesh.Namespaces': analyzeNamespaces,
  'mesh.Waypoints': analyzeWaypoints,
  'mesh.WaypointBypass': analyzeBypass,
  'service.PortNames': analyzePortNames,
  'serviceentry.Protocols': analyzeEntryProtocols,
  'sidecar.Selectors': analyzeSidecars,
  'telemetry.Selectors': analyzeTelemetries,
  'virtualservice.Claims': analyzeClaimRoutes,
  'virtualservice.Destinations': analyzeDestinations,
  'virtualservice.Gateways': analyzeGatewaysOfRoutes,
  'virtualservice.Hosts': analyzeClaims,
};

const schemaAnalyzer = 'schema.Validation';

/** Sorted. */
export const analyzerNames: readonly string[] = [schemaAnalyzer, ...Object.keys(analyzers)].sort();

export interface AnalyzeOptions {
  /** Names of those that look; default all. */
  readonly analyzers?: ReadonlySet<string>;
  /** Names of kinds (common/kube/names.ts) of which every object is among those given. */
  readonly complete: ReadonlySet<string>;
  /** Objects that an API server took: those of its own kinds it knows better than our table. Default none. */
  readonly stored?: ReadonlySet<KubeObject>;
  readonly domain?: string;
  readonly rootNamespace?: string;
}

const meshGroups = new Set(customKinds.map((c) => c.kind.group));

/** Objects that are invalid by themselves are told, and left out of the rest: their fields are not what they say. */
export function analyze(objects: readonly KubeObject[], options: AnalyzeOptions): readonly Message[] {
  const { stored = new Set<KubeObject>(), analyzers: chosen = new Set(analyzerNames) } = options;
  const own = objects.filter((o) => !stored.has(o) || meshGroups.has(o.apiVersion.split('/')[0]!));
  const messages = analyzeSchema(own);
  const invalid = new Set(messages.filter((m) => m.sort === 'SchemaValidationError').map((m) => m.object));
  // To the schema a null member is absent, and analyzers ask for what is absent alone.
  const given = new Map(
    objects.filter((o) => !invalid.has(o)).map((object) => [withoutNulls(object) as KubeObject, object]),
  );
  const world = new World([...given.keys()], options.complete, options);
  const found = Object.entries(analyzers).flatMap(([name, run]) => (chosen.has(name) ? run(world) : []));
  return [
    ...(chosen.has(schemaAnalyzer) ? messages : []),
    ...found.map((m) => ({ ...m, object: given.get(m.object) ?? m.object })),
  ];
}
