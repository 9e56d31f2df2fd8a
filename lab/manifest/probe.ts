/** Probes of a container, with Kubernetes' defaults. */
import type { Probe } from '../../common/kube/kinds/core.ts';
import type { Problems } from './problems.ts';

export type ProbeAction =
  | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number }
  | {
      readonly kind: 'http';
      readonly host: string | undefined;
      readonly port: number;
      readonly path: string;
      readonly tls: boolean;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
    }
  | { readonly kind: 'exec'; readonly command: readonly string[] };

export interface ProbePlan {
  readonly action: ProbeAction;
  /** Milliseconds, default 0. */
  readonly initialDelay: number;
  /** Milliseconds, default 10,000. Until the first success at most 250, or a lab would start slowly. */
  readonly period: number;
  /** Milliseconds, default 1,000. */
  readonly timeout: number;
  /** Default 1. */
  readonly successThreshold: number;
  /** Default 3. */
  readonly failureThreshold: number;
}

const timing = ['initialDelaySeconds', 'periodSeconds', 'timeoutSeconds', 'successThreshold', 'failureThreshold'];

/** `portOf` resolves a port's name; undefined when the container has none of that name. */
export function planProbe(
  probe: Probe | undefined,
  field: string,
  portOf: (port: number | string) => number | undefined,
  problems: Problems,
): ProbePlan | undefined {
  if (probe === undefined) return undefined;
  problems.only(probe, field, ['httpGet', 'tcpSocket', 'exec', ...timing]);
  const action = planAction(probe, field, portOf, problems);
  if (action === undefined) return undefined;
  return {
    action,
    initialDelay: (probe.initialDelaySeconds ?? 0) * 1000,
    period: (probe.periodSeconds ?? 10) * 1000,
    timeout: (probe.timeoutSeconds ?? 1) * 1000,
    successThreshold: probe.successThreshold ?? 1,
    failureThreshold: probe.failureThreshold ?? 3,
  };
}

function planAction(
  probe: Probe,
  field: string,
  portOf: (port: number | string) => number | undefined,
  problems: Problems,
): ProbeAction | undefined {
  const port = (value: number | string, of: string): number => {
    const found = portOf(value);
    if (found === undefined) problems.add(`${field}.${of}.port`, `the container has no port called "${value}"`);
    return found ?? 0;
  };
  const { httpGet, tcpSocket, exec } = probe;
  if (httpGet) {
    return {
      kind: 'http',
      host: httpGet.host,
      port: port(httpGet.port, 'httpGet'),
      path: httpGet.path ?? '/',
      tls: httpGet.scheme === 'HTTPS',
      headers: httpGet.httpHeaders ?? [],
    };
  }
  if (tcpSocket) return { kind: 'tcp', host: tcpSocket.host, port: port(tcpSocket.port, 'tcpSocket') };
  if (exec) return { kind: 'exec', command: exec.command ?? [] };
  problems.add(field, 'a probe needs one of httpGet, tcpSocket, exec');
  return undefined;
}
