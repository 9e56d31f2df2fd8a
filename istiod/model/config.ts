/** Settings of the model, under Istio's names where it has one. */
import { readCompat } from '../../common/config/compat.ts';
import type { SettingsReader } from '../../common/config/reader.ts';
import { type Millis, millis } from '../../common/core/brand.ts';
import { type Cidr, parseCidr } from '../../common/core/net.ts';
import { type Allowance, allowances } from '../jwks/fetch.ts';
import type { MeshSettings } from './settings.ts';

export interface ModelConfig {
  readonly settings: Pick<MeshSettings, 'multiNetwork' | 'allowOnlyWaypoints' | 'dryRun' | 'compat'>;
  /** Objects that name another revision are not ours. */
  readonly revision: string;
  /** Conditions are written into the status of objects. */
  readonly writesStatus: boolean;
  /** ServiceEntries without addresses are given some. */
  readonly allocatesAddresses: boolean;
  /** Machines that name a WorkloadGroup get a WorkloadEntry; undefined: not. Ms that it stays after them. */
  readonly machineGrace: Millis | undefined;
  /** Name of a second ConfigMap with MeshConfig, beneath the first. */
  readonly sharedMeshConfig: string | undefined;
  /** File with MeshConfig, in place of the ConfigMap. */
  readonly meshConfigFile: string | undefined;
  /** How keys of issuers of tokens are fetched. */
  readonly keys: {
    /** Ms between two fetches. */
    readonly refresh: Millis;
    readonly allows: ReadonlySet<Allowance>;
    readonly blocked: readonly Cidr[];
  };
}

/** All that is read here. istiod/SETTINGS.md tells what they do. */
export const modelVariables = [
  'AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY',
  'AMBIENT_ENABLE_MULTI_NETWORK',
  'AMBIENT_ENABLE_STATUS',
  'AQUIFER_COMPAT',
  'AQUIFER_JWKS_ALLOW',
  'BLOCKED_CIDRS_IN_JWKS_URIS',
  'PILOT_AUTO_ALLOW_WAYPOINT_POLICY',
  'PILOT_ENABLE_IP_AUTOALLOCATE',
  'PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION',
  'PILOT_JWT_PUB_KEY_REFRESH_INTERVAL',
  'PILOT_WORKLOAD_ENTRY_GRACE_PERIOD',
  'REVISION',
  'SHARED_MESH_CONFIG',
] as const;

export const revisionFlag = '--revision';
export const meshConfigFlag = '--meshConfig';

export function readModelConfig(r: SettingsReader): ModelConfig {
  const registers = r.boolean('PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION') ?? true;
  const grace = r.duration('PILOT_WORKLOAD_ENTRY_GRACE_PERIOD', 100) ?? millis(10_000);
  return {
    settings: {
      multiNetwork: r.boolean('AMBIENT_ENABLE_MULTI_NETWORK') ?? false,
      allowOnlyWaypoints: r.boolean('PILOT_AUTO_ALLOW_WAYPOINT_POLICY') ?? false,
      dryRun: r.boolean('AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY') ?? false,
      compat: readCompat(r),
    },
    revision: r.text(revisionFlag) ?? r.text('REVISION') ?? 'default',
    writesStatus: r.boolean('AMBIENT_ENABLE_STATUS') ?? true,
    allocatesAddresses: r.boolean('PILOT_ENABLE_IP_AUTOALLOCATE') ?? true,
    machineGrace: registers ? grace : undefined,
    keys: {
      refresh: r.duration('PILOT_JWT_PUB_KEY_REFRESH_INTERVAL', 1_000) ?? millis(1_200_000),
      allows: new Set(
        list(r, 'AQUIFER_JWKS_ALLOW', (text) => allowances.find((a) => a === text), allowances.join(', ')),
      ),
      blocked: list(r, 'BLOCKED_CIDRS_IN_JWKS_URIS', parseCidr, 'CIDRs such as 10.0.0.0/8'),
    },
    meshConfigFile: r.text(meshConfigFlag),
    sharedMeshConfig: r.text('SHARED_MESH_CONFIG'),
  };
}

/** Values with commas between. */
function list<T>(
  r: SettingsReader,
  name: string,
  read: (text: string) => T | undefined,
  expected: string,
): readonly T[] {
  return (r.text(name) ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .flatMap((part) => {
      const value = read(part);
      if (value === undefined) r.mistake(`${name} has ${JSON.stringify(part)}: expected a list of ${expected}`);
      return value === undefined ? [] : [value];
    });
}
