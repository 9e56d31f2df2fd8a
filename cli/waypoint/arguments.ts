/** What `aquifer waypoint` is asked for; options as istioctl's. Pure. */
import { parseDuration } from '../../common/config/duration.ts';
import { type Millis, millis } from '../../common/core/brand.ts';
import { oneOf, readArguments, UsageError } from '../arguments.ts';
import { waypointOptions } from '../options.ts';

export type WaypointAction =
  | { readonly kind: 'generate'; readonly wanted: WantedWaypoint }
  | {
      readonly kind: 'apply';
      readonly wanted: WantedWaypoint & { readonly namespace: string };
      /** The namespace is put behind it; `overwrite` takes the namespace from another one. */
      readonly enrol: 'no' | 'unless-another' | 'overwrite';
      /** undefined: not waited for. */
      readonly wait: Millis | undefined;
    }
  | { readonly kind: 'list' | 'status'; readonly namespace: string | undefined }
  | { readonly kind: 'delete'; readonly namespace: string; readonly which: DeletedWaypoints };

export interface WantedWaypoint {
  readonly name: string;
  /** undefined: none is said. */
  readonly namespace: string | undefined;
  /** undefined: what istiod's default, or the class, says. */
  readonly serves: TrafficType | undefined;
  readonly revision: string | undefined;
}

export type DeletedWaypoints =
  | { readonly kind: 'named'; readonly names: readonly string[] }
  | { readonly kind: 'all' }
  | { readonly kind: 'revision'; readonly revision: string };

export const trafficTypes = ['service', 'workload', 'all', 'none'] as const;
export type TrafficType = (typeof trafficTypes)[number];

export interface WaypointArguments {
  readonly action: WaypointAction;
  readonly kubeconfig: string | undefined;
}

const actions = ['apply', 'generate', 'list', 'status', 'delete'] as const;

/** UsageError. */
export function parseWaypointArguments(args: readonly string[]): WaypointArguments {
  const { values, positionals } = readArguments('waypoint', args, waypointOptions);
  const [word, ...names] = positionals;
  if (word === undefined) throw new UsageError(`expected one of ${actions.join(', ')}; see aquifer waypoint --help`);
  const action = oneOf('aquifer waypoint', word, ...actions);
  if (names.length > 0 && action !== 'delete')
    throw new UsageError(`${JSON.stringify(names[0])} is one argument too many`);
  const namespace = values.namespace ?? 'default';
  const wanted: WantedWaypoint = {
    name: waypointName(values.name),
    namespace: values.namespace,
    serves: values.for === undefined ? undefined : oneOf('--for', values.for, ...trafficTypes),
    revision: values.revision,
  };
  return { kubeconfig: values.kubeconfig, action: act() };

  function act(): WaypointAction {
    switch (action) {
      case 'generate':
        return { kind: 'generate', wanted };
      case 'apply': {
        const enrol = values['enroll-namespace'] ? (values.overwrite ? 'overwrite' : 'unless-another') : 'no';
        const wait = values.wait ? timeout(values.timeout) : undefined;
        return { kind: 'apply', wanted: { ...wanted, namespace }, enrol, wait };
      }
      case 'list':
      case 'status':
        return { kind: action, namespace: values['all-namespaces'] ? undefined : namespace };
      case 'delete':
        return { kind: 'delete', namespace, which: deleted(names, values.all, values.revision) };
    }
  }
}

function waypointName(name: string): string {
  // Of the label that opts out.
  if (name === 'none') throw new UsageError('--name=none: a waypoint cannot be called none');
  return name === '' ? 'waypoint' : name;
}

function timeout(text: string): Millis {
  const ms = parseDuration(text);
  if (ms === undefined) throw new UsageError(`--timeout=${text}: expected a duration such as 30s or 5m`);
  return millis(ms);
}

function deleted(names: readonly string[], all: boolean, revision: string | undefined): DeletedWaypoints {
  const said = [names.length > 0, all, revision !== undefined].filter(Boolean).length;
  if (said !== 1) throw new UsageError('name the waypoints to delete, or give --all, or --revision');
  if (all) return { kind: 'all' };
  return revision === undefined ? { kind: 'named', names } : { kind: 'revision', revision };
}
