/** Webhook configurations as they are stored: what they say, and what they must be. Pure. */

import { CelError, type Node } from '../../../common/cel/ast.ts';
import { checkCel, dyn } from '../../../common/cel/check.ts';
import { parseCel } from '../../../common/cel/parser.ts';
import type { LabelSelector } from '../../../common/kube/kinds/apps.ts';
import type { KubeObject } from '../../../common/kube/types.ts';
import type { ApiObject } from '../objects.ts';
import type { Cause } from '../status.ts';

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly Webhook[];
}

export interface Webhook {
  readonly name: string;
  readonly clientConfig: {
    readonly url?: string;
    readonly service?: {
      readonly namespace: string;
      readonly name: string;
      readonly path?: string;
      /** Default 443. */
      readonly port?: number;
    };
    /** PEM in base64; absent: the machine's authorities. */
    readonly caBundle?: string;
  };
  readonly rules?: readonly WebhookRule[];
  /** Default Fail. */
  readonly failurePolicy?: 'Fail' | 'Ignore';
  /** Default Equivalent. */
  readonly matchPolicy?: 'Exact' | 'Equivalent';
  readonly namespaceSelector?: LabelSelector;
  readonly objectSelector?: LabelSelector;
  readonly sideEffects?: string;
  /** Default 10. */
  readonly timeoutSeconds?: number;
  readonly admissionReviewVersions: readonly string[];
  readonly matchConditions?: readonly { readonly name: string; readonly expression: string }[];
  /** Of webhooks that mutate; default Never. */
  readonly reinvocationPolicy?: 'Never' | 'IfNeeded';
}

export interface WebhookRule {
  readonly operations?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly apiVersions?: readonly string[];
  readonly resources?: readonly string[];
  /** Default `*`. */
  readonly scope?: string;
}

/** What expressions of match conditions may name. */
const variables = new Map([
  ['object', dyn],
  ['oldObject', dyn],
  ['request', dyn],
]);

/** CelError. */
export function compileCondition(expression: string): Node {
  const node = parseCel(expression);
  const type = checkCel(node, variables);
  if (type.kind !== 'dyn' && !(type.kind === 'simple' && type.name === 'bool')) throw new CelError('must give a bool');
  return node;
}

export function checkWebhooks(object: ApiObject): readonly Cause[] {
  const { webhooks = [] } = object as unknown as WebhookConfiguration;
  const names = webhooks.map((w) => w.name);
  return webhooks.flatMap((webhook, i) => {
    const causes: Cause[] = [];
    const bad = (field: string, message: string) =>
      causes.push({ reason: 'FieldValueInvalid', field: `webhooks[${i}].${field}`, message });
    if (names.indexOf(webhook.name) < i) bad('name', `${JSON.stringify(webhook.name)} is the name of two webhooks`);
    if (webhook.name.split('.').length < 3)
      bad('name', 'must be a domain name of three segments or more, such as a.example.com');
    const { url, service } = webhook.clientConfig;
    if ((url === undefined) === (service === undefined))
      bad('clientConfig', 'exactly one of url and service is wanted');
    if (url !== undefined) {
      const parsed = URL.canParse(url) ? new URL(url) : undefined;
      if (parsed?.protocol !== 'https:' || parsed.username !== '' || parsed.search !== '' || parsed.hash !== '') {
        bad('clientConfig.url', `${JSON.stringify(url)} is no https URL without user, query and fragment`);
      }
    }
    if (service?.path !== undefined && !service.path.startsWith('/'))
      bad('clientConfig.service.path', 'must begin with "/"');
    if (!['None', 'NoneOnDryRun'].includes(webhook.sideEffects ?? '')) {
      bad('sideEffects', `${JSON.stringify(webhook.sideEffects)} is not one of None, NoneOnDryRun`);
    }
    const timeout = webhook.timeoutSeconds ?? 10;
    if (timeout < 1 || timeout > 30) bad('timeoutSeconds', `${timeout} is out of range: expected 1 to 30`);
    if (!webhook.admissionReviewVersions.includes('v1'))
      bad('admissionReviewVersions', 'must include v1, the one that this server sends');
    (webhook.matchConditions ?? []).forEach(({ expression }, n) => {
      try {
        compileCondition(expression);
      } catch (e) {
        if (!(e instanceof CelError)) throw e;
        bad(`matchConditions[${n}].expression`, `compilation failed: ${e.message}`);
      }
    });
    return causes;
  });
}
