/** Settings of the model, under Istio's names where it has one. */
import { readCompat } from '../../common/config/compat.ts';
import type { SettingsReader } from '../../common/config/reader.ts';
import { type Millis, millis } from '../../common/core/brand.ts';
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
}

/** All that is read here. istiod/SETTINGS.md tells what they do. */
export const modelVariables = [
  'AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY',
  'AMBIENT_ENABLE_MULTI_NETWORK',
  'AMBIENT_ENABLE_STATUS',
  'AQUIFER_COMPAT',
  'PILOT_AUTO_ALLOW_WAYPOINT_POLICY',
  'PILOT_ENABLE_IP_AUTOALLOCATE',
  'PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION',
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
    meshConfigFile: r.text(meshConfigFlag),
    sharedMeshConfig: r.text('SHARED_MESH_CONFIG'),
  };
}
