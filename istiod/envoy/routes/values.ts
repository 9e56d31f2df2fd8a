/** Small values of routes, from Kubernetes' notation to Envoy's. */
import type { KubeObject } from '../../../common/kube/types.ts';
import { readDuration } from '../../validation/checks/values.ts';
import type { Duration, FractionalPercent, RouteMatch, RuntimeFraction, Struct } from './envoy.ts';
import type { RouteObject } from './results.ts';

/** Go's notation, such as `1m30s`; undefined where it is none: validation has said so. */
export function durationOf(text: string | undefined): Duration | undefined {
  const milliseconds = text === undefined ? undefined : readDuration(text);
  if (milliseconds === undefined || milliseconds < 0) return undefined;
  const nanoseconds = Math.round(milliseconds * 1e6);
  const [seconds, nanos] = [Math.floor(nanoseconds / 1e9), nanoseconds % 1e9];
  return nanos === 0 ? { seconds } : { seconds, nanos };
}

export const never: Duration = { seconds: 0 };

export function isZero({ seconds, nanos = 0 }: Duration): boolean {
  return seconds === 0 && nanos === 0;
}

/** `value` per cent, to a ten-thousandth: the finest that Envoy knows. */
export function fractionOf(value: number): FractionalPercent {
  return Number.isInteger(value)
    ? { numerator: value, denominator: 'HUNDRED' }
    : { numerator: Math.round(value * 10_000), denominator: 'MILLION' };
}

export function runtimeFraction(value: number): RuntimeFraction {
  return { default_value: fractionOf(value) };
}

export function routeObject({ kind, metadata }: KubeObject): RouteObject {
  const { name, namespace = 'default', generation = 0 } = metadata;
  return { kind: kind as RouteObject['kind'], namespace, name, generation };
}

/**
 * Who made a route: `istio.config` is the path of the object, as Istio writes it and its tools show it; `aquifer` the rule within it and
 * the generation that was read.
 */
export function madeBy(object: KubeObject, rule: string): { readonly filter_metadata: Record<string, Struct> } {
  const { name, namespace = 'default', generation } = object.metadata;
  const path = `/apis/${object.apiVersion}/namespaces/${namespace}/${kebab(object.kind)}/${name}`;
  return {
    filter_metadata: {
      istio: { fields: { config: { stringValue: path } } },
      aquifer: {
        fields: {
          rule: { stringValue: rule },
          ...(generation === undefined ? {} : { generation: { numberValue: generation } }),
        },
      },
    },
  };
}

/** `HTTPRoute` -> `http-route`. */
function kebab(kind: string): string {
  return kind.replace(/([a-z0-9])(?=[A-Z])|([A-Z])(?=[A-Z][a-z])/g, '$&-').toLowerCase();
}

/** Every request matches it. */
export function takesAll({ prefix, path_separated_prefix, safe_regex, ...rest }: RouteMatch): boolean {
  const everyPath = prefix === '/' || path_separated_prefix === '/' || safe_regex?.regex === '.*';
  const {
    path,
    headers = [],
    query_parameters = [],
    dynamic_metadata = [],
    filter_state = [],
    runtime_fraction,
  } = rest;
  const others = [...headers, ...query_parameters, ...dynamic_metadata, ...filter_state];
  return everyPath && path === undefined && runtime_fraction === undefined && others.length === 0;
}
