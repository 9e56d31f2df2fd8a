/** What `bin/waypoint` is asked to be: the waypoint itself, or the agent beside a stock Envoy that is one. */
import { readCommandLine } from '../common/config/command-line.ts';

export type Command =
  | { readonly kind: 'runtime'; readonly flags: WaypointFlags }
  /** `file`: a bootstrap as Envoy's, which says all. */
  | { readonly kind: 'bootstrap'; readonly file: string }
  /** `envoy`: path of the binary. */
  | { readonly kind: 'agent'; readonly envoy: string; readonly flags: WaypointFlags }
  | { readonly kind: 'help' }
  | { readonly kind: 'invalid'; readonly errors: readonly string[] };

/** Of Istio's start line `proxy waypoint --domain ... --serviceCluster ...`; undefined where they are not given. */
export interface WaypointFlags {
  readonly '--domain': string | undefined;
  readonly '--serviceCluster': string | undefined;
  readonly '--proxyLogLevel': string | undefined;
  readonly '--proxyComponentLogLevel': string | undefined;
  readonly '--log_output_level': string | undefined;
}

export const help = `usage: waypoint [proxy waypoint] [flags]

Runs a waypoint: L7 routing and policy for services of the mesh. Settings come from the environment, with Istio's names
(waypoint/SETTINGS.md).

  --envoy PATH                    run this Envoy as the waypoint, and be its agent: certificates, xDS, readiness, metrics, draining
  --bootstrap FILE                run what this file says, in the form of Envoy's bootstrap (JSON or YAML), without a control plane
  --domain DOMAIN                 of the node's name; default $POD_NAMESPACE.svc.cluster.local
  --serviceCluster NAME           name of the cluster that the node tells; default SERVICE_ACCOUNT.POD_NAMESPACE
  --proxyLogLevel LEVEL           of Envoy; default warning
  --proxyComponentLogLevel LIST   of parts of Envoy, misc:error,rbac:debug
  --log_output_level LEVELS       of the agent; default info`;

const flags = [
  '--envoy',
  '--bootstrap',
  '--domain',
  '--serviceCluster',
  '--proxyLogLevel',
  '--proxyComponentLogLevel',
  '--log_output_level',
] as const;

export function parseCommand(args: readonly string[]): Command {
  if (args.includes('--help') || args.includes('-h')) return { kind: 'help' };
  const line = readCommandLine(args, flags);
  const errors = [...line.errors];
  const words = line.words.join(' ');
  if (words !== '' && words !== 'proxy waypoint') {
    errors.push(`expected nothing, or Istio's words "proxy waypoint", found ${JSON.stringify(words)}`);
  }
  const { '--envoy': envoy, '--bootstrap': file, ...rest } = line.flags;
  if (envoy === '') errors.push('--envoy is empty: give the path of an Envoy');
  if (envoy !== undefined && file !== undefined) errors.push('--bootstrap and --envoy exclude each other');
  if (errors.length > 0) return { kind: 'invalid', errors };
  if (file !== undefined) return { kind: 'bootstrap', file };
  return envoy === undefined ? { kind: 'runtime', flags: rest } : { kind: 'agent', envoy, flags: rest };
}
