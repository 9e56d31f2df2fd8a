/** Admission by webhooks: those that change an object one after the other, those that judge it all at once. */
import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { CelCostError, CelError } from '../../../common/cel/ast.ts';
import { jsonValue } from '../../../common/cel/json.ts';
import { Budget, runCel } from '../../../common/cel/run.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { applyDefaults } from '../../../common/kube/schema/defaults.ts';
import { pruneUnknown } from '../../../common/kube/schema/prune.ts';
import type { AdmissionRequest } from '../admission/admission.ts';
import { type ApiObject, fromJson } from '../objects.ts';
import type { Core, PartMaker } from '../part.ts';
import { applyJsonPatch, PatchError } from '../patch/json-patch.ts';
import { apiVersionOf, type Resource } from '../resources/resource.ts';
import { ApiError, badRequest } from '../status.ts';
import type { Cursor } from '../storage/types.ts';
import { callWebhook } from './call.ts';
import { compileCondition, type Webhook, type WebhookConfiguration } from './configuration.ts';
import { wantedAs } from './match.ts';
import { type Answer, readAnswer, reviewOf, WebhookError } from './review.ts';
import { targetOf } from './target.ts';

const group = 'admissionregistration.k8s.io';
const conditionSteps = 100_000;

export const webhooksPart: PartMaker = (core) => {
  const mutating = new Webhooks(core, `mutatingwebhookconfigurations.${group}`, true);
  const validating = new Webhooks(core, `validatingwebhookconfigurations.${group}`, false);
  return {
    admission: [
      { name: 'MutatingAdmissionWebhook', mutate: (request) => mutating.mutate(request) },
      { name: 'ValidatingAdmissionWebhook', validate: (request) => validating.validate(request) },
    ],
    async start(signal) {
      signal.addEventListener('abort', () => {
        mutating.close();
        validating.close();
      });
    },
  };
};

class Webhooks {
  readonly #core: Core;
  readonly #stored: string;
  readonly #mutates: boolean;
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  #cursor: Cursor | undefined;
  /** In the order of their configurations' names; undefined: to be read anew. */
  #webhooks: readonly Webhook[] | undefined;

  constructor(core: Core, stored: string, mutates: boolean) {
    this.#core = core;
    this.#stored = stored;
    this.#mutates = mutates;
    this.#log = core.log('webhooks');
  }

  close(): void {
    this.#stopped.abort();
    this.#cursor?.close();
  }

  async mutate(request: AdmissionRequest): Promise<void> {
    const again: Webhook[] = [];
    for (const webhook of this.#current(request)) {
      const changed = await this.#call(webhook, request);
      if (!changed) {
        if (webhook.reinvocationPolicy === 'IfNeeded') again.push(webhook);
        continue;
      }
      // Those before it may want to see what it did, once.
      for (const earlier of again.splice(0)) await this.#call(earlier, request);
      if (webhook.reinvocationPolicy === 'IfNeeded') again.push(webhook);
    }
  }

  async validate(request: AdmissionRequest): Promise<void> {
    await Promise.all(this.#current(request).map((webhook) => this.#call(webhook, request)));
  }

  /** A configuration is about all objects but configurations: a wrong one can always be taken away. */
  #current({ resource }: AdmissionRequest): readonly Webhook[] {
    if (resource.group === group) return [];
    if (this.#webhooks === undefined) {
      const { store } = this.#core.rest;
      if (this.#cursor === undefined) {
        this.#cursor = store.watch(this.#stored, store.revision);
        this.#cursor.onChange = () => {
          this.#webhooks = undefined;
        };
      }
      const configurations = store
        .list({ resource: this.#stored })
        .items.map((i) => fromJson<WebhookConfiguration>(i.json));
      this.#webhooks = configurations.flatMap((c) => c.webhooks ?? []);
    }
    return this.#webhooks;
  }

  /** True where the object was changed. ApiError where it is refused. */
  async #call(webhook: Webhook, request: AdmissionRequest): Promise<boolean> {
    const as = wantedAs(webhook, request, this.#core.registry, this.#labelsOf(request.namespace));
    if (as === undefined) return false;
    let answer: Answer;
    try {
      const review = reviewOf(request, as, randomUUID());
      if (!this.#meetsConditions(webhook, review)) return false;
      if (request.dryRun && !['None', 'NoneOnDryRun'].includes(webhook.sideEffects ?? '')) {
        throw badRequest(`admission webhook "${webhook.name}" does not support dry run`);
      }
      answer = await this.#ask(webhook, review);
      if (answer.allowed && answer.patch !== undefined && request.object !== undefined) {
        const changed = change(request.object, answer.patch, request.resource, as);
        for (const text of answer.warnings) request.warn(text);
        return changed;
      }
    } catch (e) {
      if (!(e instanceof WebhookError || e instanceof PatchError || e instanceof CelError || e instanceof CelCostError))
        throw e;
      return this.#failed(webhook, e);
    }
    for (const text of answer.warnings) request.warn(text);
    if (answer.allowed) return false;
    const why =
      answer.message === '' ? 'denied the request without explanation' : `denied the request: ${answer.message}`;
    throw new ApiError(answer.code, answer.reason, `admission webhook "${webhook.name}" ${why}`);
  }

  #failed(webhook: Webhook, e: Error): boolean {
    const { name, failurePolicy = 'Fail' } = webhook;
    if (failurePolicy === 'Ignore') {
      this.#log.warn('a webhook failed and is passed over, as its failurePolicy says', {
        webhook: name,
        error: describeError(e),
      });
      return false;
    }
    throw new ApiError(
      500,
      'InternalError',
      `Internal error occurred: failed calling webhook "${name}": ${describeError(e)}`,
    );
  }

  async #ask(webhook: Webhook, review: Readonly<Record<string, unknown>>): Promise<Answer> {
    const target = await targetOf(webhook, this.#core.source, this.#stopped.signal);
    const body = JSON.stringify({ kind: 'AdmissionReview', apiVersion: 'admission.k8s.io/v1', request: review });
    const text = await callWebhook(target, body, (webhook.timeoutSeconds ?? 10) * 1000);
    return readAnswer(text, String(review['uid']), this.#mutates);
  }

  #meetsConditions({ matchConditions = [] }: Webhook, review: Readonly<Record<string, unknown>>): boolean {
    if (matchConditions.length === 0) return true;
    const variables = {
      object: jsonValue(review['object']),
      oldObject: jsonValue(review['oldObject']),
      request: jsonValue(review),
    };
    const budget = new Budget(conditionSteps);
    let failure: CelError | undefined;
    for (const { expression } of matchConditions) {
      try {
        // One that is false decides, whether others fail or not.
        if (runCel(compileCondition(expression), variables, budget) === false) return false;
      } catch (e) {
        if (!(e instanceof CelError)) throw e;
        failure = e;
      }
    }
    if (failure !== undefined) throw failure;
    return true;
  }

  #labelsOf(namespace: string): Readonly<Record<string, string>> | undefined {
    if (namespace === '') return undefined;
    return this.#core.rest.store.get({ resource: 'namespaces.core', namespace: '', name: namespace })?.labels ?? {};
  }
}

/** In place. PatchError. True where the patch changed anything. */
function change(object: ApiObject, patch: unknown, resource: Resource, as: Resource): boolean {
  const patched = applyJsonPatch({ ...object, apiVersion: apiVersionOf(as) }, patch) as ApiObject;
  if (
    typeof patched !== 'object' ||
    patched === null ||
    typeof patched.metadata !== 'object' ||
    patched.metadata === null
  ) {
    throw new PatchError('the patch leaves no object');
  }
  const { apiVersion, kind } = object;
  const before = structuredClone(object);
  for (const name of Object.keys(object)) delete object[name];
  Object.assign(object, patched, { apiVersion, kind });
  // Where it is stored is not theirs to say.
  const { name, namespace } = before.metadata;
  Object.assign(object.metadata, name === undefined ? {} : { name }, namespace === undefined ? {} : { namespace });
  if (namespace === undefined) delete object.metadata.namespace;
  pruneUnknown(resource.schema, object);
  applyDefaults(resource.schema, object);
  resource.strategy.fillIn?.(object);
  return !isDeepStrictEqual(before, object);
}
