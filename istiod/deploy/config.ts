/** Settings of what istiod makes for Gateways. */
import type { SettingsReader } from '../../common/config/reader.ts';

export interface DeployConfig {
  /** Image of waypoints where their Gateway names none. Default `aquifer/waypoint`. */
  readonly waypointImage: string;
  /** The program in it; undefined: the one that the image starts by itself. Where a Gateway names an image, that one's own. */
  readonly waypointCommand: string | undefined;
  /** Makes a proxy for each Gateway that wants one. Default true. */
  readonly deploys: boolean;
}

export const deployVariables = [
  'AQUIFER_WAYPOINT_IMAGE',
  'AQUIFER_WAYPOINT_COMMAND',
  'PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER',
] as const;

export function readDeployConfig(r: SettingsReader): DeployConfig {
  return {
    waypointImage: r.text('AQUIFER_WAYPOINT_IMAGE') ?? 'aquifer/waypoint',
    waypointCommand: r.absolutePath('AQUIFER_WAYPOINT_COMMAND'),
    deploys: r.boolean('PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER') ?? true,
  };
}

/** How what is made for Gateways is applied: nobody else has a say in its fields. */
export const gatewayApply = { fieldManager: 'istio.io/mesh-controller', force: true } as const;
