/** What `aquifer waypoint` is asked for; options as istioctl's. Pure. */
import { parseDuration } from '../../common/config/duration.ts';
import { type Millis, millis } from '../../common/core/brand.ts';
import { noOperands, oneOf, readArguments, UsageError } from '../arguments.ts';
import type { ConnectionValues } from '../connection-options.ts';
import { options, trafficTypes } from './options.ts';

export type WaypointAction =
  | { readonly kind: 'generate'; readonly wanted: WantedWaypoint }
  | {
      readonly kind: 'apply';
      readonly wanted: WantedWaypoint;
      /** The namespace is put behind it; `overwrite` takes the namespace from another one. */
      readonly enrol: 'no' | 'unless-another' | 'overwrite';
      /** undefined: not waited for. */
      readonly wait: Millis | undefined;
    }
  | { readonly kind: 'list'; readonly everywhere: boolean }
  | { readonly kind: 'status'; readonly everywhere: boolean; readonly wait: Millis | undefined }
  | { readonly kind: 'delete'; readonly which: DeletedWaypoints };

export interface WantedWaypoint {
  readonly name: string;
  /** undefined: what istiod's default, or the class, says. */
  readonly serves: TrafficType | undefined;
  readonly revision: string | undefined;
}

export type DeletedWaypoints =
  | { readonly kind: 'named'; readonly names: readonly string[] }
  | { readonly kind: 'all' }
  | { readonly kind: 'revision'; readonly revision: string };

export type TrafficType = (typeof trafficTypes)[number];

export interface WaypointArguments {
  readonly action: WaypointAction;
  readonly connection: ConnectionValues;
}

/** UsageError. */
export function parseWaypointArguments(kind: WaypointAction['kind'], args: readonly string[]): WaypointArguments {
  const command = `waypoint ${kind}`;
  switch (kind) {
    case 'generate': {
      const { values, positionals } = readArguments(command, args, options.generate);
      noOperands(command, positionals);
      return { connection: values, action: { kind, wanted: wantedOf(values) } };
    }
    case 'apply': {
      const { values, positionals } = readArguments(command, args, options.apply);
      noOperands(command, positionals);
      const enrol = values['enroll-namespace'] ? (values.overwrite ? 'overwrite' : 'unless-another') : 'no';
      return { connection: values, action: { kind, wanted: wantedOf(values), enrol, wait: waitOf(values) } };
    }
    case 'list': {
      const { values, positionals } = readArguments(command, args, options.list);
      noOperands(command, positionals);
      return { connection: values, action: { kind, everywhere: values['all-namespaces'] } };
    }
    case 'status': {
      const { values, positionals } = readArguments(command, args, options.status);
      noOperands(command, positionals);
      return { connection: values, action: { kind, everywhere: values['all-namespaces'], wait: waitOf(values) } };
    }
    case 'delete': {
      const { values, positionals } = readArguments(command, args, options.delete);
      return { connection: values, action: { kind, which: deleted(positionals, values.all, values.revision) } };
    }
  }
}

function wantedOf(values: {
  readonly name: string;
  readonly for?: string | undefined;
  readonly revision?: string | undefined;
}): WantedWaypoint {
  return {
    name: waypointName(values.name),
    serves: values.for === undefined ? undefined : oneOf('--for', values.for, ...trafficTypes),
    revision: values.revision,
  };
}

function waypointName(name: string): string {
  // Of the label that opts out.
  if (name === 'none') throw new UsageError('--name=none: a waypoint cannot be called none');
  return name === '' ? 'waypoint' : name;
}

function waitOf(values: { readonly wait: boolean; readonly 'waypoint-timeout': string }): Millis | undefined {
  const text = values['waypoint-timeout'];
  const ms = parseDuration(text);
  if (ms === undefined) throw new UsageError(`--waypoint-timeout=${text}: expected a duration such as 30s or 5m`);
  return values.wait ? millis(ms) : undefined;
}

function deleted(names: readonly string[], all: boolean, revision: string | undefined): DeletedWaypoints {
  const said = [names.length > 0, all, revision !== undefined].filter(Boolean).length;
  if (said !== 1) throw new UsageError('name the waypoints to delete, or give --all, or --revision');
  if (all) return { kind: 'all' };
  return revision === undefined ? { kind: 'named', names } : { kind: 'revision', revision };
}
