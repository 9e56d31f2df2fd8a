/** Fills the roots into webhooks that call this istiod, and into nothing else of them. The leader alone writes. */

import type { Clock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import type { Kind, KubeObject, KubeSource } from '../../common/kube/types.ts';

interface Webhook {
  readonly name: string;
  readonly clientConfig: {
    readonly caBundle?: string;
    readonly url?: string;
    readonly service?: { readonly name: string; readonly namespace: string };
  };
}

export interface WebhookConfiguration extends KubeObject {
  readonly webhooks?: readonly Webhook[];
}

export const validatingWebhooks: Kind<WebhookConfiguration> = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  kind: 'ValidatingWebhookConfiguration',
  plural: 'validatingwebhookconfigurations',
  namespaced: false,
};

export const mutatingWebhooks: Kind<KubeObject> = {
  ...validatingWebhooks,
  kind: 'MutatingWebhookConfiguration',
  plural: 'mutatingwebhookconfigurations',
};

/** Of those that call a Service `istiod` or `istiod-<revision>` of the namespace; undefined: nothing is to be written. Pure. */
export function withRoots(
  { webhooks = [] }: WebhookConfiguration,
  namespace: string,
  roots: string,
): readonly Webhook[] | undefined {
  const caBundle = Buffer.from(roots).toString('base64');
  const isOurs = ({ clientConfig: { service } }: Webhook) =>
    service?.namespace === namespace && /^istiod(-|$)/.test(service.name);
  if (!webhooks.some((w) => isOurs(w) && w.clientConfig.caBundle !== caBundle)) return undefined;
  return webhooks.map((w) => (isOurs(w) ? { ...w, clientConfig: { ...w.clientConfig, caBundle } } : w));
}

export interface ConfigurationMetrics {
  readonly written: { inc(): void };
  readonly failed: { inc(): void };
}

export interface CaBundleOptions {
  readonly source: KubeSource;
  readonly namespace: string;
  /** PEM, as of now. */
  readonly roots: () => string;
  /** Calls back when the roots changed. */
  readonly onRoots: (changed: () => void) => void;
  readonly metrics: ConfigurationMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Until the signal aborts. */
export function keepCaBundles(options: CaBundleOptions, signal: AbortSignal): void {
  const { source, namespace, roots, onRoots, metrics, clock, log } = options;
  const write = async (configuration: WebhookConfiguration) => {
    const webhooks = withRoots(configuration, namespace, roots());
    if (webhooks === undefined || signal.aborted) return;
    const { name, resourceVersion } = configuration.metadata;
    await source
      .patch(validatingWebhooks, { name }, { webhooks }, { resourceVersion })
      .then(() => {
        metrics.written.inc();
        log.info('filled the roots into a webhook', { name });
      })
      // Somebody changed it meanwhile: that change comes here too.
      .catch((e: unknown) => {
        metrics.failed.inc();
        log.debug('the roots of a webhook were not written', { name, error: describeError(e) });
      });
  };
  const each = (configuration: WebhookConfiguration) => void write(configuration);
  const informer = createInformer({
    source,
    kind: validatingWebhooks,
    log,
    signal,
    clock,
    handlers: { added: each, modified: each, deleted: () => undefined },
  });
  onRoots(() => {
    if (!signal.aborted) for (const configuration of informer.objects.values()) each(configuration);
  });
}
