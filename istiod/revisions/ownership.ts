/** Follows which revision of istiod acts for which objects. Until that is known, and where it cannot be read, this one acts for none. */
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import { createInformer } from '../../common/kube/informer.ts';
import { namespaceKind, serviceKind } from '../../common/kube/kinds/core.ts';
import {
  defaultValidator,
  ownerOf,
  type Revisions,
  revisionLabel,
  revisionsOf,
  tagLabel,
} from '../../common/kube/revisions.ts';
import type { Kind, KubeObject, KubeSource, NewObject } from '../../common/kube/types.ts';
import { mutatingWebhooks, validatingWebhooks } from '../validation/ca-bundle.ts';

export interface OwnershipOptions {
  readonly source: KubeSource;
  /** Of this istiod. */
  readonly revision: string;
  /** Where istiod runs. */
  readonly namespace: string;
  /** All of a kind, by `namespace/name`: of Services and Namespaces. */
  readonly objectsOf: <T extends KubeObject>(kind: Kind<T>) => ReadonlyMap<string, T>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** What is this revision's may be another's now, and the other way round. */
  readonly onChange: () => void;
}

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #webhooks: ReadonlyMap<string, KubeObject>;
  readonly #validators: ReadonlyMap<string, KubeObject>;
  /** Of namespaces, as they were when somebody was told last. */
  readonly #namespaces = new Map<string, string>();
  /** undefined: not known yet. */
  #revisions: Revisions | undefined;
  #isSynced = false;

  constructor(options: OwnershipOptions) {
    this.#options = options;
    const { source, clock, log, signal } = options;
    const look = () => this.#look();
    const handlers = { added: look, modified: look, deleted: look };
    const common = { source, clock, log, signal, handlers, trim: labelsOf };
    const webhooks = createInformer({ ...common, kind: mutatingWebhooks });
    const validators = createInformer({
      ...common,
      kind: validatingWebhooks as Kind<KubeObject>,
      within: { name: defaultValidator },
    });
    this.#webhooks = webhooks.objects;
    this.#validators = validators.objects;
    void Promise.all([webhooks.synced, validators.synced]).then(() => {
      this.#isSynced = true;
      this.#look();
    });
  }

  /** Tags that point to this revision. */
  get tags(): readonly string[] {
    const { revision } = this.#options;
    return [...(this.#revisions?.tags ?? [])].filter(([, to]) => to === revision).map(([tag]) => tag);
  }

  isMine({ metadata: { labels, namespace } }: Pick<NewObject, 'metadata'>): boolean {
    if (this.#revisions === undefined) return false;
    const { objectsOf, revision } = this.#options;
    const ofNamespace = namespace === undefined ? undefined : objectsOf(namespaceKind).get(namespace);
    const owner = ownerOf(this.#revisions, labels?.[revisionLabel], ofNamespace?.metadata.labels?.[revisionLabel]);
    return owner === revision;
  }

  /** An object came, changed or went; it is in `objectsOf` as it is now. */
  touched({ kind, metadata: { name, namespace } }: KubeObject): void {
    if (kind === serviceKind.kind && namespace === this.#options.namespace) this.#look();
    if (kind !== namespaceKind.kind) return;
    const said = this.#options.objectsOf(namespaceKind).get(name)?.metadata.labels?.[revisionLabel] ?? '';
    if ((this.#namespaces.get(name) ?? '') === said) return;
    if (said === '') this.#namespaces.delete(name);
    else this.#namespaces.set(name, said);
    if (this.#revisions !== undefined) this.#options.onChange();
  }

  #look(): void {
    if (!this.#isSynced) return;
    const { objectsOf, namespace, revision, log, onChange } = this.#options;
    const services = [...objectsOf(serviceKind).values()].filter(
      ({ metadata }) => metadata.namespace === namespace && metadata.labels?.[tagLabel] !== undefined,
    );
    const validator = this.#validators.get(defaultValidator);
    const now = revisionsOf({ services, webhooks: this.#webhooks.values(), validator });
    const before = this.#revisions;
    this.#revisions = now;
    if (before !== undefined && textOf(before) === textOf(now)) return;
    log.info('revisions', { own: revision, tags: this.tags.join(), unnamed: now.unnamed });
    onChange();
  }
}

function textOf({ tags, unnamed }: Revisions): string {
  return JSON.stringify([[...tags].sort(), unnamed]);
}

function labelsOf({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, labels } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, uid, resourceVersion, ...(namespace !== undefined && { namespace }), ...(labels && { labels }) },
  };
}
