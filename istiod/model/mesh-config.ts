/**
 * MeshConfig (istio.mesh.v1alpha1) as ConfigMaps hold it: which keys there are, and what the model reads of them. Pure. Keys that other
 * parts of the mesh will read are known here, so that a misspelt one is told from them.
 */
import { parse } from 'yaml';
import { describeError } from '../../common/core/errors.ts';
import type { LabelSelector } from '../../common/kube/kinds/apps.ts';
import { didYouMean } from '../../common/kube/schema/nearest.ts';
import { isObject } from '../../common/kube/schema/validate.ts';
import type { ExtensionProvider } from '../envoy/inputs.ts';
import { authzProvider } from './mesh-authz.ts';
import { logProvider } from './mesh-logs.ts';
import { tracingOf, tracingProvider } from './mesh-tracing.ts';
import {
  defaultSettings,
  type EnvoySettings,
  type MeshSettings,
  type ServiceScope,
  type Visibility,
  type VisibilityRules,
} from './settings.ts';

export interface MeshConfig {
  readonly trustDomain: string | undefined;
  readonly rootNamespace: string | undefined;
  /** Namespaces that one of them selects are discovered; none: all are. */
  readonly discoverySelectors: readonly LabelSelector[];
  readonly settings: Pick<MeshSettings, 'serviceScopes' | 'serviceEntryVisibility' | 'exportTo' | 'envoy'>;
}

export const defaultMeshConfig: MeshConfig = {
  trustDomain: undefined,
  rootNamespace: undefined,
  discoverySelectors: [],
  settings: {
    serviceScopes: defaultSettings.serviceScopes,
    serviceEntryVisibility: defaultSettings.serviceEntryVisibility,
    exportTo: defaultSettings.exportTo,
    envoy: defaultSettings.envoy,
  },
};

export type ParsedMeshConfig =
  | { readonly kind: 'ok'; readonly config: MeshConfig; readonly warnings: readonly string[] }
  | { readonly kind: 'invalid'; readonly reason: string };

/** Later texts override earlier ones key by key. */
export function parseMeshConfig(texts: readonly string[]): ParsedMeshConfig {
  const merged: Record<string, unknown> = {};
  for (const text of texts) {
    let value: unknown;
    try {
      value = parse(text);
    } catch (e) {
      return { kind: 'invalid', reason: `not valid YAML: ${describeError(e).split('\n')[0]}` };
    }
    if (value === null || value === undefined) continue;
    if (!isObject(value)) return { kind: 'invalid', reason: 'expected a mapping' };
    Object.assign(merged, value);
  }
  const read = new Reader(merged);
  const config: MeshConfig = {
    trustDomain: read.text('trustDomain'),
    rootNamespace: read.text('rootNamespace'),
    discoverySelectors: read.selectors('discoverySelectors', merged['discoverySelectors']),
    settings: {
      serviceScopes: scopesOf(read, merged['serviceScopeConfigs']),
      serviceEntryVisibility: visibilityOf(read, merged['serviceEntryVisibility']),
      exportTo: read.texts('defaultServiceExportTo') ?? defaultSettings.exportTo,
      envoy: envoyOf(read, merged),
    },
  };
  if (read.errors.length > 0) return { kind: 'invalid', reason: read.errors.join('; ') };
  const unknown = Object.keys(merged).filter((key) => !keys.has(key));
  const warnings = unknown.map((key) => `${key} is no key of MeshConfig${didYouMean(key, [...keys])}`);
  return { kind: 'ok', config, warnings };
}

function envoyOf(read: Reader, merged: Readonly<Record<string, unknown>>): EnvoySettings {
  const { envoy: d } = defaultSettings;
  const part = (key: string) => (merged[key] === undefined ? {} : (read.objects(key, [merged[key]])[0] ?? {}));
  const orUndefined = (key: string) => (merged[key] === undefined ? undefined : part(key));
  const one = <T extends string>(path: string, value: unknown, allowed: readonly T[], fallback: T): T =>
    value === undefined || value === null ? fallback : read.oneOf(path, value, allowed);
  const normalization = one(
    'pathNormalization.normalization',
    part('pathNormalization')['normalization'],
    ['DEFAULT', 'NONE', 'BASE', 'MERGE_SLASHES', 'DECODE_AND_MERGE_SLASHES'],
    'DEFAULT',
  );
  return {
    trustDomainAliases: read.texts('trustDomainAliases') ?? d.trustDomainAliases,
    connectTimeout: read.duration('connectTimeout') ?? d.connectTimeout,
    hboneIdleTimeout: read.duration('hboneIdleTimeout') ?? d.hboneIdleTimeout,
    outboundTrafficPolicy: one(
      'outboundTrafficPolicy.mode',
      part('outboundTrafficPolicy')['mode'],
      ['ALLOW_ANY', 'REGISTRY_ONLY'],
      d.outboundTrafficPolicy,
    ),
    pathNormalization: normalization === 'DEFAULT' ? 'BASE' : normalization,
    virtualServiceExportTo: read.texts('defaultVirtualServiceExportTo') ?? d.virtualServiceExportTo,
    destinationRuleExportTo: read.texts('defaultDestinationRuleExportTo') ?? d.destinationRuleExportTo,
    accessLogFile: read.text('accessLogFile'),
    accessLogFormat: read.text('accessLogFormat'),
    accessLogEncoding: one('accessLogEncoding', merged['accessLogEncoding'], ['TEXT', 'JSON'], 'TEXT'),
    extensionProviders: providersOf(read, merged['extensionProviders']),
    defaultProviders: {
      metrics:
        read.textsAt('defaultProviders.metrics', part('defaultProviders')['metrics']) ?? d.defaultProviders.metrics,
      accessLogging: read.textsAt('defaultProviders.accessLogging', part('defaultProviders')['accessLogging']) ?? [],
      tracing: read.textsAt('defaultProviders.tracing', part('defaultProviders')['tracing']) ?? [],
    },
    tracing: tracingOf(read, merged['enableTracing'], part('defaultConfig')['tracing']),
    defaultRetries: orUndefined('defaultHttpRetryPolicy'),
    localityLb: orUndefined('localityLbSetting'),
  };
}

/** Those that Istio has by itself come first: later ones of the same name take their place. */
function providersOf(read: Reader, value: unknown): readonly ExtensionProvider[] {
  const own = read.objects('extensionProviders', value ?? []).map((entry, i): ExtensionProvider => {
    const name = read.textAt(`extensionProviders[${i}].name`, entry['name']);
    if (entry['prometheus'] !== undefined) return { kind: 'prometheus', name };
    const at = `extensionProviders[${i}]`;
    return (
      tracingProvider(read, at, name, entry) ??
      authzProvider(read, at, name, entry) ??
      logProvider(read, at, name, entry) ?? { kind: 'unserved', name }
    );
  });
  const names = new Set(own.map(({ name }) => name));
  const builtIn: readonly ExtensionProvider[] = [
    { kind: 'prometheus', name: 'prometheus' },
    { kind: 'file', name: 'envoy', path: '/dev/stdout', format: undefined, omitsEmpty: false },
  ];
  return [...builtIn.filter(({ name }) => !names.has(name)), ...own];
}

function scopesOf(read: Reader, value: unknown): readonly ServiceScope[] {
  if (value === undefined) return defaultSettings.serviceScopes;
  return read.objects('serviceScopeConfigs', value).map((entry, i) => {
    const path = `serviceScopeConfigs[${i}]`;
    return {
      namespaces: read.selector(`${path}.namespaceSelector`, entry['namespaceSelector']),
      services: read.selector(`${path}.servicesSelector`, entry['servicesSelector']),
      scope: read.oneOf(`${path}.scope`, entry['scope'] ?? 'LOCAL', ['LOCAL', 'GLOBAL']),
    };
  });
}

const visibilities = ['PUBLIC', 'NAMESPACE', 'NONE'] as const;

function visibilityOf(read: Reader, value: unknown): VisibilityRules | undefined {
  if (value === undefined) return undefined;
  const at = 'serviceEntryVisibility';
  const [rules = {}] = read.objects(at, [value]);
  const one = (path: string, v: unknown): Visibility => read.oneOf(path, v ?? 'PUBLIC', visibilities);
  return {
    fallback: one(`${at}.defaultVisibility`, rules['defaultVisibility']),
    policies: read.objects(`${at}.policies`, rules['policies'] ?? []).map((p, i) => ({
      visibility: one(`${at}.policies[${i}].visibility`, p['visibility']),
      namespaces: read
        .objects(`${at}.policies[${i}].matchingRules`, p['matchingRules'] ?? [])
        // One that is not understood selects nothing.
        .map(
          (r, j) =>
            read.selector(`${at}.policies[${i}].matchingRules[${j}].namespaceSelector`, r['namespaceSelector']) ??
            nothing,
        ),
    })),
  };
}

const nothing: LabelSelector = { matchExpressions: [{ key: '', operator: 'Exists' }] };

const goDuration = /^(\d+(\.\d+)?(ns|us|ms|s|m|h))+$/;

const operators = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

export class Reader {
  readonly errors: string[] = [];
  readonly #from: Readonly<Record<string, unknown>>;

  constructor(from: Readonly<Record<string, unknown>>) {
    this.#from = from;
  }

  text(key: string): string | undefined {
    const value = this.#from[key] ?? undefined;
    if (value === undefined || value === '') return undefined;
    if (typeof value === 'string') return value;
    this.#wrong(key, 'a text');
    return undefined;
  }

  texts(key: string): readonly string[] | undefined {
    const value = this.#from[key] ?? undefined;
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value as readonly string[];
    this.#wrong(key, 'a list of texts');
    return undefined;
  }

  textAt(path: string, value: unknown): string {
    if (typeof value === 'string') return value;
    this.#wrong(path, 'a text');
    return '';
  }

  textsAt(path: string, value: unknown): readonly string[] | undefined {
    if (value === undefined || value === null) return undefined;
    if (Array.isArray(value) && value.every((v) => typeof v === 'string')) return value as readonly string[];
    this.#wrong(path, 'a list of texts');
    return undefined;
  }

  /** As Go writes it. */
  duration(key: string): string | undefined {
    const text = this.text(key);
    if (text === undefined || goDuration.test(text)) return text;
    this.#wrong(key, 'a duration such as 10s');
    return undefined;
  }

  optionalText(path: string, value: unknown): string | undefined {
    return value === undefined || value === null || value === '' ? undefined : this.textAt(path, value);
  }

  /** As Go writes it. */
  durationAt(path: string, value: unknown): string | undefined {
    const text = this.optionalText(path, value);
    if (text === undefined || goDuration.test(text)) return text;
    this.#wrong(path, 'a duration such as 10s');
    return undefined;
  }

  numberAt(path: string, value: unknown, most: number): number | undefined {
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'number' && value >= 0 && value <= most) return value;
    this.#wrong(path, `a number from 0 to ${most}`);
    return undefined;
  }

  flagAt(path: string, value: unknown): boolean | undefined {
    if (value === undefined || value === null || typeof value === 'boolean') return value ?? undefined;
    this.#wrong(path, 'true or false');
    return undefined;
  }

  objectAt(path: string, value: unknown): Readonly<Record<string, unknown>> {
    if (value === undefined || value === null) return {};
    if (isObject(value)) return value;
    this.#wrong(path, 'a mapping');
    return {};
  }

  objects(path: string, value: unknown): readonly Readonly<Record<string, unknown>>[] {
    if (Array.isArray(value) && value.every(isObject)) return value as readonly Record<string, unknown>[];
    this.#wrong(path, 'a list of mappings');
    return [];
  }

  oneOf<T extends string>(path: string, value: unknown, allowed: readonly T[]): T {
    const found = allowed.find((a) => a === value);
    if (found === undefined) this.#wrong(path, allowed.join(' or '));
    return found ?? allowed[0]!;
  }

  selectors(path: string, value: unknown): readonly LabelSelector[] {
    return this.objects(path, value ?? []).flatMap((s, i) => this.selector(`${path}[${i}]`, s) ?? []);
  }

  selector(path: string, value: unknown): LabelSelector | undefined {
    if (value === undefined || value === null) return undefined;
    if (!isObject(value)) {
      this.#wrong(path, 'a label selector');
      return undefined;
    }
    const labels = value['matchLabels'] ?? {};
    const isTexts = isObject(labels) && Object.values(labels).every((v) => typeof v === 'string');
    if (!isTexts) this.#wrong(`${path}.matchLabels`, 'a mapping of texts');
    const expressions = this.objects(`${path}.matchExpressions`, value['matchExpressions'] ?? []).map((e, i) => {
      const at = `${path}.matchExpressions[${i}]`;
      const values = e['values'] ?? [];
      if (typeof e['key'] !== 'string') this.#wrong(`${at}.key`, 'a text');
      if (!Array.isArray(values) || !values.every((v) => typeof v === 'string'))
        this.#wrong(`${at}.values`, 'a list of texts');
      return {
        key: String(e['key']),
        operator: this.oneOf(`${at}.operator`, e['operator'], operators),
        values: values as readonly string[],
      };
    });
    return { matchLabels: labels as Readonly<Record<string, string>>, matchExpressions: expressions };
  }

  #wrong(path: string, expected: string): void {
    this.errors.push(`${path}: expected ${expected}`);
  }
}

/** All of MeshConfig. */
const keys: ReadonlySet<string> = new Set([
  'accessLogEncoding',
  'accessLogFile',
  'accessLogFormat',
  'ca',
  'caCertificates',
  'certificates',
  'configSources',
  'connectTimeout',
  'defaultConfig',
  'defaultDestinationRuleExportTo',
  'defaultHttpRetryPolicy',
  'defaultProviders',
  'defaultServiceExportTo',
  'defaultTrafficPolicy',
  'defaultVirtualServiceExportTo',
  'disableEnvoyListenerLog',
  'discoverySelectors',
  'dnsRefreshRate',
  'enableAutoMtls',
  'enableEnvoyAccessLogService',
  'enablePrometheusMerge',
  'enableTracing',
  'extensionProviders',
  'h2UpgradePolicy',
  'hboneIdleTimeout',
  'inboundClusterStatName',
  'inboundTrafficPolicy',
  'ingressClass',
  'ingressControllerMode',
  'ingressSelector',
  'ingressService',
  'localityLbSetting',
  'meshMTLS',
  'outboundClusterStatName',
  'outboundTrafficPolicy',
  'pathNormalization',
  'protocolDetectionTimeout',
  'proxyHttpPort',
  'proxyInboundListenPort',
  'proxyListenPort',
  'rootNamespace',
  'serviceEntryVisibility',
  'serviceScopeConfigs',
  'serviceSettings',
  'statNames',
  'tcpKeepalive',
  'thriftConfig',
  'tlsDefaults',
  'trustDomain',
  'trustDomainAliases',
  'verifyCertificateAtClient',
]);
