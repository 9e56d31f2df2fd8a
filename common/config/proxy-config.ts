/**
 * `PROXY_CONFIG` and the file ./etc/istio/config/mesh: Istio's ProxyConfig in YAML, of which our proxies read six fields; the
 * others are for Istio's other programs. The variable wins over the file's `defaultConfig`.
 */
import { createRequire } from 'node:module';
import { describeError } from '../core/errors.ts';
import { parseDuration } from './duration.ts';
import type { SettingsReader } from './reader.ts';

export interface ProxyConfig {
  readonly discoveryAddress?: string;
  readonly proxyAdminPort?: number;
  readonly statsPort?: number;
  /** 0: every CPU. */
  readonly concurrency?: number;
  /** A duration: how long a waypoint that ends lets open connections go on. */
  readonly terminationDrainDuration?: string;
  readonly proxyMetadata: Readonly<Record<string, string>>;
}

const none: ProxyConfig = { proxyMetadata: {} };

/** Where the mesh's file is, from the working directory. */
export const meshConfigPath = './etc/istio/config/mesh';

/** `meshFile` is that file's text; undefined where it is not there. */
export function parseProxyConfig(r: SettingsReader, meshFile: string | undefined): ProxyConfig {
  const ofFile = meshFile === undefined ? none : read(r, meshConfigPath, meshFile, (mesh) => mesh['defaultConfig']);
  const text = r.text('PROXY_CONFIG');
  const ofVariable = text === undefined ? none : read(r, 'PROXY_CONFIG', text, (config) => config);
  return { ...ofFile, ...ofVariable, proxyMetadata: { ...ofFile.proxyMetadata, ...ofVariable.proxyMetadata } };
}

type Fields = Readonly<Record<string, unknown>>;

function read(r: SettingsReader, where: string, text: string, pick: (document: Fields) => unknown): ProxyConfig {
  let config: unknown;
  try {
    const document: unknown = yaml().parse(text) ?? {};
    if (!isFields(document)) throw new Error('expected a mapping');
    config = pick(document) ?? {};
    if (!isFields(config)) throw new Error('defaultConfig: expected a mapping');
  } catch (e) {
    r.mistake(`${where}: ${describeError(e)}`);
    return none;
  }
  const field = <T>(name: string, accepts: (value: unknown) => value is T, expected: string): T | undefined => {
    const value = (config as Fields)[name] ?? undefined;
    if (value === undefined || accepts(value)) return value;
    r.mistake(`${where}: ${name}: ${JSON.stringify(value)}: expected ${expected}`);
    return undefined;
  };
  const discoveryAddress = field('discoveryAddress', isText, 'host:port');
  const proxyAdminPort = field('proxyAdminPort', isUint16, 'a port');
  const statsPort = field('statsPort', isUint16, 'a port');
  const concurrency = field('concurrency', isUint16, 'a whole number from 0 to 65535');
  const terminationDrainDuration = field('terminationDrainDuration', isDuration, 'a duration such as 5s');
  return {
    ...(discoveryAddress !== undefined && { discoveryAddress }),
    ...(proxyAdminPort !== undefined && { proxyAdminPort }),
    ...(statsPort !== undefined && { statsPort }),
    ...(concurrency !== undefined && { concurrency }),
    ...(terminationDrainDuration !== undefined && { terminationDrainDuration }),
    proxyMetadata: field('proxyMetadata', isTexts, 'texts by name') ?? {},
  };
}

/** Loaded only where there is such a text: it is 30 ms of each start, and most have none. */
function yaml(): typeof import('yaml') {
  return createRequire(import.meta.url)('yaml');
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isDuration(value: unknown): value is string {
  return isText(value) && parseDuration(value) !== undefined;
}

function isUint16(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535;
}

function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isFields(value) && Object.values(value).every(isText);
}
