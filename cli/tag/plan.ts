/**
 * What a tag of a revision is made of, and what is written to move or remove one. A tag is a Service; webhooks of an injector, which Istio
 * writes beside it, are only read and taken away: pods would wait for an injector that is not there. Pure.
 */
import { MeshError } from '../../common/core/errors.ts';
import { defaultRevision, defaultValidator, revisionLabel, tagLabel, tagService } from '../../common/kube/revisions.ts';
import type { KubeObject, NewObject } from '../../common/kube/types.ts';

export interface TagFacts {
  readonly istioNamespace: string;
  /** Of that namespace, with a revision. */
  readonly services: readonly KubeObject[];
  /** MutatingWebhookConfigurations with a revision. */
  readonly injectors: readonly KubeObject[];
  /** ValidatingWebhookConfigurations. */
  readonly validators: readonly KubeObject[];
  readonly namespaces: readonly KubeObject[];
}

export interface TagRow {
  readonly tag: string;
  readonly revision: string;
  readonly namespaces: readonly string[];
}

const labelOf = ({ metadata }: KubeObject, name: string) => metadata.labels?.[name];
const withTag = (objects: readonly KubeObject[], tag: string) => objects.filter((o) => labelOf(o, tagLabel) === tag);

/** Namespaces that name it. */
export function namespacesOf({ namespaces }: TagFacts, tag: string): readonly string[] {
  return namespaces.filter((n) => labelOf(n, revisionLabel) === tag).map((n) => n.metadata.name);
}

/** Revisions without a tag are listed, too, as istioctl does. */
export function tagRows(facts: TagFacts): readonly TagRow[] {
  const found = new Map<string, TagRow>();
  for (const object of [...facts.injectors, ...facts.services]) {
    const [tag = '', revision = ''] = [labelOf(object, tagLabel), labelOf(object, revisionLabel)];
    if (revision !== '')
      found.set(JSON.stringify([revision, tag]), { tag, revision, namespaces: namespacesOf(facts, tag) });
  }
  const rows = [...found.values()];
  return rows
    .filter((r) => r.tag !== '' || !rows.some((other) => other.tag !== '' && other.revision === r.revision))
    .sort((a, b) => compare(a.revision, b.revision) || compare(a.tag, b.tag));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export interface WantedTag {
  readonly tag: string;
  readonly revision: string;
  readonly overwrite: boolean;
  /** It is printed, not written. */
  readonly generates: boolean;
}

export interface TagChange {
  readonly service: NewObject;
  /** The webhook for objects that name no revision, as it is to be; undefined: it stays. */
  readonly validator: KubeObject | undefined;
  /** Webhooks of an injector that this tag had. */
  readonly injectors: readonly KubeObject[];
}

/** Labels of whoever made what it is copied from. */
const foreign = /^(helm\.sh\/|app\.kubernetes\.io\/(managed-by|instance)$|operator\.istio\.io\/|install\.operator)/;

/** MeshError NOT_FOUND, CONFIG, UNSUPPORTED. */
export function setTag(facts: TagFacts, { tag, revision, overwrite, generates }: WantedTag): TagChange {
  const { istioNamespace: namespace, services, injectors } = facts;
  const of = (objects: readonly KubeObject[], name: string) =>
    objects.filter((o) => labelOf(o, revisionLabel) === name && labelOf(o, tagLabel) === undefined);
  const istiods = (name: string) => of(services, name).filter((s) => labelOf(s, 'app') === 'istiod');
  const isFree = generates || overwrite || tag === defaultRevision;
  if (!isFree && (istiods(tag).length > 0 || of(injectors, tag).length > 0))
    throw new MeshError(
      'CONFIG',
      `tag ${tag}: a revision has this name; choose another one, or --overwrite: the tag then counts instead of it`,
    );
  const [istiod, another] = istiods(revision);
  if (istiod === undefined)
    throw new MeshError(
      'NOT_FOUND',
      `revision ${revision}: namespace ${namespace} has no Service of an istiod with the label ${revisionLabel}=${revision}; there are ${
        [...new Set(services.filter((s) => labelOf(s, 'app') === 'istiod').map((s) => labelOf(s, revisionLabel)))].join(
          ', ',
        ) || 'none'
      }`,
    );
  if (another !== undefined)
    throw new MeshError(
      'CONFIG',
      `revision ${revision}: Services ${istiod.metadata.name} and ${another.metadata.name} both are its istiod; take ${revisionLabel} off one of them`,
    );
  const [injector] = of(injectors, revision);
  if (injector !== undefined)
    throw new MeshError(
      'UNSUPPORTED',
      `revision ${revision} is of an istiod that gives pods sidecars (MutatingWebhookConfiguration ${injector.metadata.name}); its tags need webhooks: use istioctl tag set`,
    );
  if (!overwrite && (withTag(services, tag).length > 0 || withTag(injectors, tag).length > 0))
    throw new MeshError('CONFIG', `tag ${tag} points to a revision already; --overwrite moves it`);
  return {
    service: serviceOf(istiod, tag, namespace),
    validator: tag === defaultRevision ? validatorOf(facts, revision, istiod.metadata.name) : undefined,
    injectors: withTag(injectors, tag),
  };
}

function serviceOf(istiod: KubeObject, tag: string, namespace: string): NewObject {
  const { ports, selector, ipFamilyPolicy, ipFamilies } = istiod['spec'] as Readonly<Record<string, unknown>>;
  const labels = Object.entries(istiod.metadata.labels ?? {}).filter(([name]) => !foreign.test(name));
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: tagService(tag), namespace, labels: { ...Object.fromEntries(labels), [tagLabel]: tag } },
    spec: {
      ports: (ports as readonly Readonly<Record<string, unknown>>[]).map(({ nodePort: _, ...port }) => port),
      selector,
      ...(ipFamilyPolicy !== undefined && { ipFamilyPolicy }),
      ...(ipFamilies !== undefined && { ipFamilies }),
    },
  } as NewObject;
}

interface Webhook {
  readonly clientConfig: { readonly service?: object };
}

/** undefined where there is none: the chart base makes it. */
function validatorOf({ validators }: TagFacts, revision: string, service: string): KubeObject | undefined {
  const found = validators.find((v) => v.metadata.name === defaultValidator);
  if (found === undefined) return undefined;
  const webhooks = ((found['webhooks'] ?? []) as readonly Webhook[]).map((w) => ({
    ...w,
    clientConfig: {
      ...w.clientConfig,
      ...(w.clientConfig.service && { service: { ...w.clientConfig.service, name: service } }),
    },
  }));
  const labels = { ...found.metadata.labels, [revisionLabel]: revision };
  return { ...found, metadata: { ...found.metadata, labels }, webhooks } as KubeObject;
}

/** All that is the tag; MeshError NOT_FOUND where nothing is. */
export function removedWith({ services, injectors, validators }: TagFacts, tag: string): readonly KubeObject[] {
  const found = [...withTag(services, tag), ...withTag(injectors, tag)];
  if (found.length === 0)
    throw new MeshError(
      'NOT_FOUND',
      `tag ${tag}: there is no Service and no MutatingWebhookConfiguration with the label ${tagLabel}=${tag}; aquifer tag list names those there are`,
    );
  return [...found, ...withTag(validators, tag)];
}
