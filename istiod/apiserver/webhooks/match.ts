/** Which webhooks a write is for, and under which version they want to see it. Pure. */
import type { AdmissionRequest } from '../admission/admission.ts';
import type { Registry } from '../resources/registry.ts';
import type { Resource } from '../resources/resource.ts';
import type { Labels } from '../selectors/labels.ts';
import { matchesSelector } from '../selectors/objects.ts';
import type { Webhook, WebhookRule } from './configuration.ts';

/** As which resource a webhook wants the request; undefined: it does not. */
export function wantedAs(
  webhook: Webhook,
  request: AdmissionRequest,
  registry: Registry,
  namespaceLabels: Labels | undefined,
): Resource | undefined {
  const { resource, object, old } = request;
  if (!inNamespace(webhook, request, namespaceLabels)) return undefined;
  const { objectSelector } = webhook;
  const selected = [object, old].some(
    (o) => o !== undefined && matchesSelector(objectSelector ?? {}, o.metadata.labels),
  );
  if (!selected) return undefined;
  const rules = webhook.rules ?? [];
  if (rules.some((r) => matchesRule(r, resource, request))) return resource;
  // Without conversion the versions of a custom resource are the same object under another name.
  if (webhook.matchPolicy === 'Exact' || resource.builtIn) return undefined;
  return registry
    .all()
    .filter((r) => r.stored.resource === resource.stored.resource)
    .find((other) => rules.some((r) => matchesRule(r, other, request)));
}

/** A namespace itself is judged by its own labels; what has no namespace is always meant. */
function inNamespace(
  { namespaceSelector = {} }: Webhook,
  request: AdmissionRequest,
  labels: Labels | undefined,
): boolean {
  const { resource, namespace, object, old } = request;
  if (resource.group === '' && resource.resource === 'namespaces') {
    return matchesSelector(namespaceSelector, (object ?? old)?.metadata.labels);
  }
  return namespace === '' || matchesSelector(namespaceSelector, labels);
}

function matchesRule(rule: WebhookRule, resource: Resource, { operation, subresource }: AdmissionRequest): boolean {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [], scope = '*' } = rule;
  const has = (list: readonly string[], value: string) => list.includes('*') || list.includes(value);
  if (!has(operations, operation) || !has(apiGroups, resource.group) || !has(apiVersions, resource.version))
    return false;
  if (scope !== '*' && (scope === 'Namespaced') !== resource.namespaced) return false;
  return resources.some((pattern) => {
    const [name = '', sub = ''] = pattern.split('/');
    if (pattern === '*/*') return true;
    return (name === '*' || name === resource.resource) && (sub === '*' || sub === subresource);
  });
}
