/** Probes of a container, with Kubernetes' defaults. */
import type { Container, Probe } from '../../common/kube/kinds/core.ts';
import { probeFields } from './fields.ts';
import type { Problems } from './problems.ts';

export interface HttpAction {
  readonly kind: 'http';
  /** undefined: the pod's address. */
  readonly host: string | undefined;
  readonly port: number;
  readonly path: string;
  readonly tls: boolean;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
}

export type ProbeAction =
  | HttpAction
  | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number }
  | { readonly kind: 'grpc'; readonly port: number; readonly service: string }
  | { readonly kind: 'exec'; readonly command: readonly string[] };

export interface ProbePlan {
  readonly action: ProbeAction;
  /** Milliseconds, default 0. */
  readonly initialDelay: number;
  /** Milliseconds, default 10,000. */
  readonly period: number;
  /** Milliseconds, default 1,000. */
  readonly timeout: number;
  /** Default 1. */
  readonly successThreshold: number;
  /** Default 3. */
  readonly failureThreshold: number;
  /** Milliseconds for the end of a container that fails it; undefined: the pod's. */
  readonly grace: number | undefined;
}

export type Purpose = 'readinessProbe' | 'livenessProbe' | 'startupProbe';

export function planProbe(c: Container, purpose: Purpose, at: string, problems: Problems): ProbePlan | undefined {
  const probe = c[purpose];
  if (probe === undefined) return undefined;
  const field = `${at}.${purpose}`;
  problems.check(probe, field, probeFields);
  const action = planAction(probe, c, field, problems);
  if (action === undefined) return undefined;
  const grace = probe.terminationGracePeriodSeconds;
  return {
    action,
    initialDelay: (probe.initialDelaySeconds ?? 0) * 1000,
    period: (probe.periodSeconds ?? 10) * 1000,
    timeout: (probe.timeoutSeconds ?? 1) * 1000,
    successThreshold: probe.successThreshold ?? 1,
    failureThreshold: probe.failureThreshold ?? 3,
    grace: grace === undefined ? undefined : grace * 1000,
  };
}

function planAction(probe: Probe, c: Container, field: string, problems: Problems): ProbeAction | undefined {
  const { httpGet, tcpSocket, exec, grpc } = probe;
  if (httpGet) return planHttp(httpGet, c, `${field}.httpGet`, problems);
  if (tcpSocket) {
    const port = portOf(c, tcpSocket.port, `${field}.tcpSocket`, problems);
    return { kind: 'tcp', host: tcpSocket.host, port };
  }
  if (exec) return { kind: 'exec', command: exec.command ?? [] };
  if (grpc) return { kind: 'grpc', port: grpc.port, service: grpc.service ?? '' };
  problems.add(field, 'a probe needs one of httpGet, tcpSocket, exec, grpc');
  return undefined;
}

export function planHttp(
  httpGet: NonNullable<Probe['httpGet']>,
  c: Container,
  field: string,
  problems: Problems,
): HttpAction {
  return {
    kind: 'http',
    host: httpGet.host,
    port: portOf(c, httpGet.port, field, problems),
    path: httpGet.path ?? '/',
    tls: httpGet.scheme === 'HTTPS',
    headers: httpGet.httpHeaders ?? [],
  };
}

function portOf(c: Container, port: number | string, field: string, problems: Problems): number {
  if (typeof port === 'number') return port;
  const named = c.ports?.find((p) => p.name === port)?.containerPort;
  if (named === undefined && !/^\d+$/.test(port))
    problems.add(`${field}.port`, `the container has no port called "${port}"`);
  return named ?? Number(port);
}
