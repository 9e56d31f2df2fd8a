/** A config_dump in Envoy's JSON, ours or Envoy's, as far as commands show it. Pure. */
import { MeshError } from '../../common/core/errors.ts';
import { isObject } from '../../common/kube/schema/validate.ts';

export type Json = Readonly<Record<string, unknown>>;

export interface EnvoyDump {
  readonly clusters: readonly Json[];
  readonly listeners: readonly Json[];
  readonly routes: readonly Json[];
  readonly secrets: readonly SecretEntry[];
  readonly bootstrap: Json | undefined;
  /** As it came. */
  readonly whole: Json;
}

export interface SecretEntry {
  readonly name: string;
  readonly state: 'ACTIVE' | 'WARMING';
  readonly secret: Json;
}

/** `from` names the text in errors. MeshError CONFIG. */
export function parseEnvoyDump(from: string, text: string): EnvoyDump {
  const whole = parseJson(from, text, 'config_dump says');
  const configs = whole['configs'];
  if (!Array.isArray(configs)) {
    const hint = 'workloads' in whole ? "; this is a ztunnel's: aquifer ztunnel-config reads it" : '';
    throw new MeshError('CONFIG', `${from}: configs: missing; expected what a proxy's :15000/config_dump says${hint}`);
  }
  const parts = configs.filter(isObject);
  const entries = (list: string) => parts.flatMap((part) => objects(part[list]));
  const held = (list: string, ...path: readonly string[]) => entries(list).flatMap((entry) => at(entry, path));
  const bootstrap = parts.map((part) => part['bootstrap']).find(isObject);
  return {
    clusters: [...held('dynamic_active_clusters', 'cluster'), ...held('static_clusters', 'cluster')],
    listeners: [...held('dynamic_listeners', 'active_state', 'listener'), ...held('static_listeners', 'listener')],
    routes: [...held('dynamic_route_configs', 'route_config'), ...held('static_route_configs', 'route_config')],
    secrets: [
      ...entries('dynamic_warming_secrets').map((e) => secretOf(e, 'WARMING')),
      ...entries('dynamic_active_secrets').map((e) => secretOf(e, 'ACTIVE')),
      ...entries('static_secrets').map((e) => secretOf(e, 'ACTIVE')),
    ],
    bootstrap,
    whole,
  };
}

/** Hosts by cluster, of `/clusters?format=json`. MeshError CONFIG. */
export function parseClusterStatuses(from: string, text: string): readonly Json[] {
  const whole = parseJson(from, text, 'clusters?format=json says');
  if (Array.isArray(whole['cluster_statuses'])) return objects(whole['cluster_statuses']);
  throw new MeshError(
    'CONFIG',
    `${from}: cluster_statuses: missing; expected what a proxy's :15000/clusters?format=json says`,
  );
}

function parseJson(from: string, text: string, what: string): Json {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Told below.
  }
  throw new MeshError('CONFIG', `${from}: this is no JSON object; expected what a proxy's :15000/${what}`);
}

function secretOf(entry: Json, state: SecretEntry['state']): SecretEntry {
  const secret = entry['secret'];
  return { name: String(entry['name'] ?? ''), state, secret: isObject(secret) ? secret : {} };
}

/** Objects of a list; none of what is no list. */
export function objects(value: unknown): readonly Json[] {
  return Array.isArray(value) ? (value as readonly unknown[]).filter(isObject) : [];
}

/** What stands at the end of the path, if it is an object. */
export function at(value: Json, path: readonly string[]): readonly Json[] {
  let here: unknown = value;
  for (const name of path) here = isObject(here) ? here[name] : undefined;
  return isObject(here) ? [here] : [];
}

/** What stands at the end of the path. */
export function get(value: unknown, ...path: readonly string[]): unknown {
  let here = value;
  for (const name of path) here = isObject(here) ? here[name] : undefined;
  return here;
}
