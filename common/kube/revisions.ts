/**
 * Which revision acts for an object: the one that its label istio.io/rev names, or that of its namespace; a name may be a tag, which
 * points to a revision. Pure.
 */
import type { KubeObject } from './types.ts';

export const revisionLabel = 'istio.io/rev';
export const tagLabel = 'istio.io/tag';
export const defaultRevision = 'default';
/** The webhook that checks objects which name no revision; its label says whose istiod does. */
export const defaultValidator = 'istiod-default-validator';

/** What istiod of a revision is called. */
export function serviceOf(revision: string): string {
  return revision === defaultRevision ? 'istiod' : `istiod-${revision}`;
}

/** The Service that is a tag. */
export function tagService(tag: string): string {
  return `istiod-revision-tag-${tag}`;
}

export interface RevisionMarks {
  /** Of istiod's namespace. */
  readonly services: Iterable<KubeObject>;
  /** MutatingWebhookConfigurations: by which tags were known before there were Services of them. */
  readonly webhooks: Iterable<KubeObject>;
  /** The webhook `defaultValidator`. */
  readonly validator: KubeObject | undefined;
}

export interface Revisions {
  /** Tag -> revision. */
  readonly tags: ReadonlyMap<string, string>;
  /** Of objects that name none. */
  readonly unnamed: string;
}

/** A Service tells more than a webhook, and the tag `default` more than the webhook that checks objects. */
export function revisionsOf({ services, webhooks, validator }: RevisionMarks): Revisions {
  const tags = new Map<string, string>();
  for (const { metadata } of [...webhooks, ...services]) {
    const { [tagLabel]: tag, [revisionLabel]: revision } = metadata.labels ?? {};
    if (tag && revision) tags.set(tag, revision);
  }
  const validates = validator?.metadata.labels?.[revisionLabel];
  return { tags, unnamed: tags.get(defaultRevision) ?? (validates || defaultRevision) };
}

/** `own` and `ofNamespace` are what the labels say. */
export function ownerOf(
  { tags, unnamed }: Revisions,
  own: string | undefined,
  ofNamespace: string | undefined,
): string {
  const said = own ?? ofNamespace ?? '';
  return said === '' ? unnamed : (tags.get(said) ?? said);
}
