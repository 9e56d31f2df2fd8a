/**
 * What charts take: the keys of their values.yaml, closed, so that a wrong one is named; keys of Istio's charts that have no meaning
 * here, which NOTES lists; and the sections of other charts, for one file may be for all.
 */

export const chartNames = ['base', 'istiod', 'cni', 'ztunnel'] as const;
export type ChartName = (typeof chartNames)[number];

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type Values = { readonly [key: string]: Json };
export interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly Json[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: false;
  readonly $ref?: string;
  readonly description?: string;
  readonly $schema?: string;
}

const sidecars = 'there are no sidecars here';
const oneImage = 'there is one image for all programs';
const always = 'always so';

/** Key -> why it has no meaning. Of every chart. */
const moot: Readonly<Record<string, string>> = {
  profile: 'the defaults are those of the ambient profile',
  compatibilityVersion: 'set single cases with AQUIFER_COMPAT (istiod: aquifer.compat)',
  variant: oneImage,
  ownerName: 'there is no operator',
  installPackagePath: 'there is no operator',
  telemetry: 'metrics are always there, and what resources of kind Telemetry say counts',
  experimental: 'the webhook checks what the policy would',
  'global.variant': oneImage,
  'global.certSigners': 'one signer: pilotCertProvider',
  'global.defaultResources': 'each chart has resources of its own',
  'global.istiod': 'aquifer analyze',
  'global.nativeNftables': 'iptables is not used in pods; aquifer.capture of the chart cni chooses nftables',
  'global.omitSidecarInjectorConfigMap': sidecars,
  'global.operatorManageWebhooks': 'there is no operator',
  'global.proxy_init': sidecars,
  'global.remotePilotAddress': 'an istiod serves the proxies of its own cluster only',
  'global.externalIstiod': 'an istiod serves the proxies of its own cluster only',
  'global.configCluster': 'an istiod serves the proxies of its own cluster only',
  'global.meshID': 'the trust domain is the name of the mesh',
  'global.meshNetworks': 'gateways of other networks are found by their labels',
  'global.mountMtlsCerts': sidecars,
  'global.sds': 'TOKEN_AUDIENCES of istiod',
  'global.sts': 'there is no exchange of tokens',
  'global.caName': 'caAddress or pilotCertProvider',
  'global.waypoint': "annotations of a waypoint's Gateway, or ConfigMaps that its parametersRef names",
  'global.trustBundleName': 'trustBundleName of the chart ztunnel',
  ...Object.fromEntries(
    [
      ...['image', 'autoInject', 'componentLogLevel', 'excludeInboundPorts', 'includeInboundPorts', 'includeIPRanges'],
      ...[
        'excludeIPRanges',
        'includeOutboundPorts',
        'excludeOutboundPorts',
        'logLevel',
        'outlierLogPath',
        'privileged',
      ],
      ...['seccompProfile', 'readinessFailureThreshold', 'readinessInitialDelaySeconds', 'readinessPeriodSeconds'],
      ...[
        'startupProbe',
        'resources',
        'statusPort',
        'tracer',
        'lifecycle',
        'enableCoreDump',
        'holdApplicationUntilProxyStarts',
      ],
    ].map((key) => [`global.proxy.${key}`, sidecars]),
  ),
};

/** Of one chart. */
const ownMoot: Readonly<Record<ChartName, Readonly<Record<string, string>>>> = {
  base: { 'base.validationFailurePolicy': 'aquifer.failurePolicy' },
  istiod: {
    platform: 'nothing of istiod depends on it',
    traceSampling: 'requests are not traced yet',
    'cni.enabled': 'istiod injects nothing',
    'cni.provider': 'istiod injects nothing',
    taint: 'pods are held back by the CNI plugin instead',
    jwksResolverExtraRootCA: 'keys of token issuers are not fetched yet',
    sidecarInjectorWebhook: sidecars,
    sidecarInjectorWebhookAnnotations: sidecars,
    istiodRemote: 'an istiod serves the proxies of its own cluster only',
    defaultRevision: 'of the chart base',
    gateways: 'there are no ingress gateways yet, and waypoints always ask for RuntimeDefault',
    gatewayClasses: "annotations of a waypoint's Gateway, or ConfigMaps that its parametersRef names",
  },
  cni: {
    chained: `${always}: the plugin is added to the network's list`,
    provider: 'the plugin is added to whatever list there is',
    istioOwnedCNIConfig: "the plugin is added to the network's own list",
    istioOwnedCNIConfigFileName: "the plugin is added to the network's own list",
    repair: 'pods that start are held back until they are captured',
    useAppArmorAnnotation: 'no profile is asked for',
    'ambient.enabled': always,
    'ambient.configDir': 'settings come from the environment',
    'ambient.dnsCapture':
      'annotation ambient.istio.io/dns-capture of a pod; for all: env.ISTIO_META_DNS_CAPTURE of the chart ztunnel',
    'ambient.ipv6': 'both families are always captured',
    'ambient.enablementSelectors': 'the label istio.io/dataplane-mode of pods and namespaces, as by default',
    'ambient.reconcileIptablesOnStartup': always,
    'ambient.shareHostNetworkNamespace': always,
    'ambient.enableAmbientDetectionRetry': always,
  },
  ztunnel: { platform: 'nothing of ztunnel depends on it' },
};

/** Key -> why it has no meaning in this chart. */
export function withoutMeaning(chart: ChartName): Readonly<Record<string, string>> {
  return { ...moot, ...ownMoot[chart] };
}

/** For the chart of all charts, each with its chart's name before it; those of `global` once. */
export function withoutMeaningAtAll(): Readonly<Record<string, string>> {
  const entries = chartNames.flatMap((chart) =>
    Object.entries(withoutMeaning(chart)).map(([key, why]) => [
      key.startsWith('global.') ? key : `${chart}.${key}`,
      why,
    ]),
  );
  return Object.fromEntries(entries) as Record<string, string>;
}

/** Objects into which users write keys of their own. */
const open = new Set([...['resources', 'podAnnotations', 'seccompProfile', 'updateStrategy', 'cpu', 'meshConfig']]);
const texts = ['string', 'number'] as const;
/** Where a default does not tell what else may stand there. */
const known: Readonly<Record<string, Schema>> = {
  tag: { type: texts },
  'global.tag': { type: texts },
  rollingMaxSurge: { type: ['string', 'integer'] },
  rollingMaxUnavailable: { type: ['string', 'integer'] },
  'pdb.minAvailable': { type: ['string', 'integer'] },
  'resourceQuotas.pods': { type: ['string', 'integer'] },
  resourceScope: { enum: ['', 'all', 'cluster', 'namespace'] },
  'global.resourceScope': { enum: ['all', 'cluster', 'namespace'] },
  'aquifer.capture': { enum: ['auto', 'ebpf', 'nft'] },
  'aquifer.failurePolicy': { enum: ['Ignore', 'Fail'] },
  'global.imagePullPolicy': { enum: ['', 'Always', 'IfNotPresent', 'Never'] },
};
/** What Istio's charts take and no default shows. */
const more: Readonly<Record<string, Schema>> = { 'pdb.maxUnavailable': { type: ['string', 'integer'] } };

/** The same for all charts; each reads what it needs. */
const shared = ['global', 'base'] as const;
/** Where the values of other charts, or the same ones once more, may stand. */
const sections = ['base', 'istiod', 'pilot', 'cni', 'ztunnel', 'meshConfig'] as const;
const ownSection: Readonly<Record<ChartName, string>> = { base: '', istiod: 'pilot', cni: 'cni', ztunnel: 'ztunnel' };

/** `all`: the values of every chart: `global` is one for all. */
export function valuesSchema(chart: ChartName, all: Readonly<Record<ChartName, Values>>): Schema {
  const properties: Record<string, Schema> = { ...objectOf('', all[chart]).properties };
  for (const section of shared)
    properties[section] = merged(chartNames.map((name) => objectOf(section, (all[name][section] ?? {}) as Values)));
  for (const section of sections) properties[section] ??= { type: 'object' };
  if (ownSection[chart] !== '') properties[ownSection[chart]] = { $ref: '#' };
  let schema: Schema = { type: 'object', properties, additionalProperties: false };
  for (const [key, why] of Object.entries(withoutMeaning(chart)))
    schema = withKey(schema, key.split('.'), { description: `No meaning here: ${why}` });
  for (const [key, of] of Object.entries(more))
    if (has(all[chart], key.split('.')[0]!)) schema = withKey(schema, key.split('.'), of);
  return { $schema: 'http://json-schema.org/draft-07/schema#', ...schema };
}

/** Each chart judges its own part. */
export function umbrellaSchema(schemas: Readonly<Record<ChartName, Schema>>): Schema {
  const { global } = schemas.istiod.properties!;
  const sub = Object.fromEntries(chartNames.map((name) => [name, { type: 'object' }]));
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    type: 'object',
    properties: { global: global!, ...sub },
    additionalProperties: false,
  };
}

function has(values: Values, key: string): boolean {
  return values[key] !== undefined;
}

function schemaOf(path: string, value: Json): Schema {
  if (known[path] !== undefined) return known[path];
  if (Array.isArray(value)) return { type: 'array' };
  switch (typeof value) {
    case 'boolean':
      return { type: 'boolean' };
    case 'number':
      return { type: Number.isInteger(value) ? 'integer' : 'number' };
    case 'string':
      return { type: 'string' };
    default:
      return value === null ? {} : objectOf(path, value as Values);
  }
}

function objectOf(path: string, values: Values): Schema {
  const keys = Object.entries(values);
  if (open.has(path) || (keys.length === 0 && path !== '' && !shared.some((s) => s === path)))
    return { type: 'object' };
  const properties = Object.fromEntries(
    keys.map(([key, value]) => [key, schemaOf(path === '' ? key : `${path}.${key}`, value)]),
  );
  return { type: 'object', properties, additionalProperties: false };
}

function merged(schemas: readonly Schema[]): Schema {
  const properties: Record<string, Schema> = {};
  for (const { properties: own = {} } of schemas)
    for (const [key, schema] of Object.entries(own))
      properties[key] = properties[key]?.properties && schema.properties ? merged([properties[key], schema]) : schema;
  return { type: 'object', properties, additionalProperties: false };
}

/** A key that is there stays what it is. */
function withKey(schema: Schema, [key = '', ...rest]: readonly string[], leaf: Schema): Schema {
  const there = schema.properties?.[key];
  if (schema.$ref !== undefined || (schema.type === 'object' && schema.additionalProperties === undefined))
    return schema;
  const inner =
    rest.length === 0
      ? (there ?? leaf)
      : withKey(there ?? { type: 'object', properties: {}, additionalProperties: false }, rest, leaf);
  return { ...schema, properties: { ...schema.properties, [key]: inner } };
}
