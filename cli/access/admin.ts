/** Admin pages of proxies, through the API server. */
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { UsageError } from '../arguments.ts';
import type { Cluster } from './cluster.ts';
import { askOver } from './http.ts';

/** What the page says. MeshError CONNECT_FAILED, naming the pod. */
export async function askAdmin(
  { client }: Pick<Cluster, 'client'>,
  { metadata }: Pod,
  port: number,
  path: string,
  method: 'GET' | 'POST' = 'GET',
): Promise<string> {
  const { name, namespace = 'default' } = metadata;
  try {
    const { status, body } = await askOver(await client.dial({ namespace, name }, port), path, method);
    if (status >= 200 && status < 300) return body;
    throw new MeshError('CONNECT_FAILED', `HTTP ${status}: ${body.trim()}`);
  } catch (e) {
    throw new MeshError('CONNECT_FAILED', `pod ${namespace}/${name}, port ${port}${path}: ${describeError(e)}`);
  }
}

/** UsageError. */
export function portOf(option: string, text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new UsageError(`${option}: ${JSON.stringify(text)}: expected a port, 1 to 65535`);
}
