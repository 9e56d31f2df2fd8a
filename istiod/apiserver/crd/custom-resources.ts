/**
 * Serves what CustomResourceDefinitions define: gives names, keeps the registry and the definitions' conditions in line, and
 * removes a definition's objects when it goes.
 */
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { createInformer, type Informer } from '../../../common/kube/informer.ts';
import { type CustomResourceDefinition, customResourceDefinitionKind } from '../../../common/kube/kinds/extension.ts';
import { serverUser } from '../local-source.ts';
import type { Core, Part, PartMaker } from '../part.ts';
import type { Resource } from '../resources/resource.ts';
import { ApiError, qualified } from '../status.ts';
import { type StatusChange, statusFor } from './conditions.ts';
import { cleanupFinalizer, isTrue } from './definition.ts';
import { decideNames } from './names.ts';
import { resourcesOf } from './resources.ts';

export const customResources: PartMaker = (core): Part => {
  const controller = new Controller(core);
  return {
    admission: [
      {
        name: 'CustomResourceTerminating',
        mutate({ operation, resource }) {
          if (operation === 'CREATE' && controller.isGoing(resource)) {
            const message = `create is not allowed on ${qualified(resource)} while its definition is terminating`;
            throw new ApiError(405, 'MethodNotAllowed', message);
          }
        },
      },
    ],
    start: (signal) => controller.start(signal),
  };
};

class Controller {
  readonly #core: Core;
  readonly #log: Logger;
  #informer: Informer<CustomResourceDefinition> | undefined;
  /** Definition -> the resourceVersion of what is registered. */
  readonly #registered = new Map<string, string>();
  /** Definitions whose objects are being removed. */
  readonly #removing = new Set<string>();
  #busy = false;
  #again = false;

  constructor(core: Core) {
    this.#core = core;
    this.#log = core.log('crd');
  }

  isGoing({ builtIn, stored }: Resource): boolean {
    return !builtIn && this.#removing.has(stored.resource);
  }

  async start(signal: AbortSignal): Promise<void> {
    const changed = () => void this.#reconcile(signal);
    const { source, clock } = this.#core;
    this.#informer = createInformer({
      source,
      kind: customResourceDefinitionKind,
      log: this.#log,
      signal,
      clock,
      handlers: { added: changed, modified: changed, deleted: changed },
    });
    await this.#informer.synced;
    // What was served before the last stop is served when the server is ready.
    this.#register();
    await this.#reconcile(signal);
  }

  #register(): void {
    const { registry } = this.#core;
    const definitions = this.#informer?.objects ?? new Map<string, CustomResourceDefinition>();
    for (const name of [...this.#registered.keys()]) {
      if (definitions.has(name)) continue;
      registry.setCustom(name, []);
      this.#registered.delete(name);
    }
    for (const [name, definition] of definitions) {
      // The status changes more often than what is served.
      const version = String(definition.metadata.generation);
      if (!isTrue(definition, 'Established') || this.#registered.get(name) === version) continue;
      registry.setCustom(name, resourcesOf(definition));
      this.#registered.set(name, version);
    }
  }

  /** One round at a time; changes meanwhile make one more. */
  async #reconcile(signal: AbortSignal): Promise<void> {
    if (this.#informer === undefined) return;
    this.#again = true;
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#again && !signal.aborted) {
        this.#again = false;
        await this.#round(signal);
      }
    } finally {
      this.#busy = false;
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    this.#register();
    const definitions = [...this.#informer!.objects.values()];
    const builtIn = this.#core.registry.all().filter((r) => r.builtIn);
    const decisions = decideNames(definitions, builtIn);
    for (const definition of definitions) {
      const { name, deletionTimestamp } = definition.metadata;
      const change = statusFor(definition, decisions.get(name)!, this.#core.clock.wall());
      if (change.kind === 'set') await this.#write(definition, change);
      if (deletionTimestamp !== undefined && !this.#removing.has(name)) void this.#remove(definition, signal);
    }
  }

  async #write(
    { metadata }: CustomResourceDefinition,
    { status }: StatusChange & { readonly kind: 'set' },
  ): Promise<void> {
    const { name, resourceVersion } = metadata;
    try {
      await this.#core.source.patch(
        customResourceDefinitionKind,
        { name },
        { status },
        { subresource: 'status', resourceVersion },
      );
    } catch (e) {
      // Somebody changed it meanwhile: the next event brings it here again.
      this.#log.debug('a status was not written', { definition: name, error: describeError(e) });
    }
  }

  /** Deletes the objects, waits for their finalizers, lets the definition go. */
  async #remove(definition: CustomResourceDefinition, signal: AbortSignal): Promise<void> {
    const { registry, source } = this.#core;
    const { name } = definition.metadata;
    if (!finalizersOf(definition).includes(cleanupFinalizer)) return;
    this.#removing.add(name);
    try {
      const resource = registry.all().find((r) => !r.builtIn && r.stored.resource === name);
      // Without names nothing was ever stored.
      if (resource !== undefined) await this.#deleteObjects(resource, signal);
      if (signal.aborted) return;
      const now = await source.get(customResourceDefinitionKind, { name });
      if (now === undefined) return;
      const { resourceVersion } = now.metadata;
      const finalizers = finalizersOf(now).filter((f) => f !== cleanupFinalizer);
      await source.patch(customResourceDefinitionKind, { name }, { metadata: { finalizers } }, { resourceVersion });
    } catch (e) {
      this.#log.warn('objects of a definition that is deleted could not be removed', {
        definition: name,
        error: describeError(e),
      });
    } finally {
      this.#removing.delete(name);
    }
  }

  async #deleteObjects(resource: Resource, signal: AbortSignal): Promise<void> {
    const { rest } = this.#core;
    const { store } = rest;
    const cursor = store.watch(resource.stored.resource, store.revision);
    const asked = new Set<string>();
    try {
      for (;;) {
        const changed = Promise.withResolvers<void>();
        cursor.onChange = () => changed.resolve();
        const { items } = store.list({ resource: resource.stored.resource });
        if (items.length === 0 || signal.aborted) return;
        let deleted = false;
        for (const { key } of items) {
          const id = `${key.namespace}/${key.name}`;
          if (asked.has(id)) continue;
          asked.add(id);
          deleted = true;
          await this.#deleteOne(resource, key.namespace, key.name);
        }
        if (deleted) continue;
        // Others take their finalizers away.
        signal.addEventListener('abort', () => changed.resolve(), { once: true });
        await changed.promise;
      }
    } finally {
      cursor.close();
    }
  }

  async #deleteOne(resource: Resource, namespace: string, name: string): Promise<void> {
    const context = {
      resource,
      namespace,
      subresource: '',
      user: serverUser,
      options: { dryRun: false, fieldManager: serverUser.name, fieldValidation: 'Ignore', force: false } as const,
      warn: () => undefined,
    };
    const options = {
      dryRun: false,
      gracePeriodSeconds: undefined,
      propagation: undefined,
      uid: undefined,
      resourceVersion: undefined,
    };
    await this.#core.rest.delete(context, name, options).catch((e: unknown) => {
      if (!(e instanceof ApiError) || e.status.code !== 404) throw e;
    });
  }
}

function finalizersOf({ metadata }: CustomResourceDefinition): readonly string[] {
  return (metadata as { readonly finalizers?: readonly string[] }).finalizers ?? [];
}
