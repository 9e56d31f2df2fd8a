/** Where a webhook is: by its URL, or behind a Service, whose ready endpoints are called. */
import { type Service, serviceKind } from '../../../common/kube/kinds/core.ts';
import { type EndpointSlice, endpointSliceKind } from '../../../common/kube/kinds/discovery.ts';
import type { KubeSource } from '../../../common/kube/types.ts';
import type { Target } from './call.ts';
import type { Webhook } from './configuration.ts';
import { WebhookError } from './review.ts';

const serviceLabel = 'kubernetes.io/service-name';

/** WebhookError. */
export async function targetOf({ clientConfig }: Webhook, source: KubeSource, signal: AbortSignal): Promise<Target> {
  const { url, service, caBundle } = clientConfig;
  const ca = caBundle === undefined || caBundle === '' ? undefined : Buffer.from(caBundle, 'base64').toString();
  if (service === undefined) {
    const { hostname, port, pathname } = new URL(url ?? '');
    const host = hostname.replace(/^\[|\]$/g, '');
    return { host, port: port === '' ? 443 : Number(port), name: host, path: pathname, ca };
  }
  const { namespace, name, path = '/', port = 443 } = service;
  const found = await source.get(serviceKind, { namespace, name });
  if (found === undefined) throw new WebhookError(`service ${namespace}/${name} is not there`);
  const at = await addressOf(found, port, source, signal);
  return { ...at, name: `${name}.${namespace}.svc`, path, ca };
}

async function addressOf(
  service: Service,
  port: number,
  source: KubeSource,
  signal: AbortSignal,
): Promise<{ readonly host: string; readonly port: number }> {
  const { name, namespace } = service.metadata;
  const { type, externalName, ports = [] } = service.spec;
  if (type === 'ExternalName' && externalName !== undefined) return { host: externalName, port };
  const named = ports.find((p) => p.port === port);
  if (named === undefined) throw new WebhookError(`service ${namespace}/${name} has no port ${port}`);
  const { items } = await source.list(endpointSliceKind, signal);
  for (const slice of items) {
    if (slice.metadata.namespace !== namespace || slice.metadata.labels?.[serviceLabel] !== name) continue;
    const found = readyIn(slice, named.name ?? '');
    if (found !== undefined) return found;
  }
  throw new WebhookError(`service ${namespace}/${name} has no ready endpoint`);
}

function readyIn(
  { endpoints = [], ports = [] }: EndpointSlice,
  name: string,
): { readonly host: string; readonly port: number } | undefined {
  const port = ports.find((p) => (p.name ?? '') === name)?.port;
  const host = endpoints.find((e) => e.conditions?.ready !== false)?.addresses[0];
  return port === undefined || port === null || host === undefined ? undefined : { host, port };
}
