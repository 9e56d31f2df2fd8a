/** `aquifer why --request-id`: what the proxies that enforced wrote of a request that happened. */
import { describeError, MeshError } from '../../common/core/errors.ts';
import { type Pod, podKind } from '../../common/kube/kinds/core.ts';
import type { Cluster } from '../access/cluster.ts';
import { isRunning } from '../access/pods.ts';

export interface Found {
  /** NAMESPACE/NAME of the proxy. */
  readonly proxy: string;
  readonly lines: readonly string[];
}

export interface Searched {
  readonly found: readonly Found[];
  /** Proxies whose log was read. */
  readonly read: number;
  /** Why others' were not. */
  readonly problems: readonly string[];
}

/** Lines of each log; what is older is not looked at. */
const newest = '20000';

/** In the access logs of waypoints and node proxies. `id`: of x-request-id or a trace. MeshError NOT_FOUND where no proxy runs. */
export async function findRequest({ client, istioNamespace }: Cluster, id: string): Promise<Searched> {
  const { items } = await client.list<Pod>(podKind, new AbortController().signal);
  const proxies = items.filter(
    ({ metadata }) =>
      metadata.labels?.['gateway.networking.k8s.io/gateway-name'] !== undefined ||
      (metadata.namespace === istioNamespace && metadata.labels?.['app'] === 'ztunnel'),
  );
  const running = proxies.filter(isRunning);
  if (running.length === 0)
    throw new MeshError('NOT_FOUND', 'no waypoint and no ztunnel runs; aquifer check says what is missing');
  const found: Found[] = [];
  const problems: string[] = [];
  let read = 0;
  for (const { metadata, spec } of running) {
    const { name, namespace = 'default' } = metadata;
    const container = spec.containers[0]?.name ?? '';
    try {
      const log = await client.logs({ namespace, name }, { container, tailLines: newest });
      read++;
      const lines = linesWith(log, id);
      if (lines.length > 0) found.push({ proxy: `${namespace}/${name}`, lines });
    } catch (e) {
      problems.push(`the log of ${namespace}/${name}: ${describeError(e)}`);
    }
  }
  return { found, read, problems };
}

/** An id is a word of its own: another that begins alike is another request. */
export function linesWith(log: string, id: string): readonly string[] {
  const isPart = (char: string | undefined) => char !== undefined && /[A-Za-z0-9-]/.test(char);
  return log.split('\n').filter((line) => {
    for (let at = line.indexOf(id); at >= 0; at = line.indexOf(id, at + 1)) {
      if (!isPart(line[at - 1]) && !isPart(line[at + id.length])) return true;
    }
    return false;
  });
}

/** Response flags and details of Envoy's words that say who decided. */
const reasons: readonly (readonly [pattern: RegExp, text: string])[] = [
  [/rbac_access_denied_matched_policy\[([^ ]*)\]/, 'refused by policy $1'],
  [/rbac_access_denied/, 'refused by an AuthorizationPolicy'],
  [/\bUAEX\b/, 'refused by an external authorizer'],
  [/\bNR\b/, 'no route took it'],
  [/\bUH\b/, 'no healthy host'],
  [/\bUF\b/, 'the connection to the host failed'],
  [/\bUO\b/, 'a limit of the cluster was reached (circuit breaker)'],
  [/\bFI\b|\bDI\b/, 'by fault injection'],
  [/\bUT\b/, 'the host took longer than the timeout'],
  [/error="([^"]+)"/, 'the connection ended with: $1'],
];

/** What a line of an access log says of why; undefined: nothing special. */
export function reasonIn(line: string): string | undefined {
  for (const [pattern, text] of reasons) {
    const match = pattern.exec(line);
    if (match !== null) return text.replace('$1', match[1] ?? '');
  }
  return undefined;
}
