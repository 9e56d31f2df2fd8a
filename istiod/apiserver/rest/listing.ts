/** Lists and watches: their options, where they start, and what they give out. */
import type { ListMeta, Watch, WatchItem } from '../http/api-request.ts';
import { isTrue } from '../http/request-info.ts';
import type { Resource } from '../resources/resource.ts';
import { type FieldRequirement, matchesFields, onlyName, parseFieldSelector } from '../selectors/fields.ts';
import { matchesLabels, parseLabelSelector, type Requirement, SelectorError } from '../selectors/labels.ts';
import { type ApiError, badRequest, expired, invalid, tooLargeResourceVersion } from '../status.ts';
import { type Change, type Cursor, type Store, type Stored, StoreError } from '../storage/types.ts';
import { numberIn } from './options.ts';

export interface Selection {
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly labels: readonly Requirement[];
  readonly fields: readonly FieldRequirement[];
}

/** Characters of a selector. */
const selectorLimit = 64 * 1024;

/** `name` and `namespace` are of the path, empty where it names none. ApiError 400. */
export function selectionOf(resource: Resource, namespace: string, name: string, query: URLSearchParams): Selection {
  const [labelText, fieldText] = [query.get('labelSelector') ?? '', query.get('fieldSelector') ?? ''];
  if (labelText.length + fieldText.length > selectorLimit)
    throw badRequest(`selectors are longer than ${selectorLimit} characters`);
  try {
    const fields = [...parseFieldSelector(fieldText)];
    for (const { path } of fields) {
      if (path === 'metadata.name' || (path === 'metadata.namespace' && resource.namespaced)) continue;
      if (!resource.selectableFields.includes(path)) throw new SelectorError(`field label not supported: ${path}`);
    }
    return {
      namespace: resource.namespaced ? (namespace === '' ? undefined : namespace) : '',
      name: name === '' ? onlyName(fields) : name,
      labels: parseLabelSelector(labelText),
      fields,
    };
  } catch (e) {
    if (e instanceof SelectorError) throw badRequest(`unable to parse the selector: ${e.message}`);
    throw e;
  }
}

export function selects(selection: Selection, object: Stored): boolean {
  const { key, labels } = object;
  if (selection.namespace !== undefined && key.namespace !== selection.namespace) return false;
  if (selection.name !== undefined && key.name !== selection.name) return false;
  return matchesLabels(selection.labels, labels) && matchesFields(selection.fields, object);
}

export interface Listed {
  readonly items: readonly Stored[];
  readonly metadata: ListMeta;
}

/** ApiError 400, 410, 504. */
export function list(store: Store, resource: Resource, selection: Selection, query: URLSearchParams): Listed {
  const limit = numberIn(query, 'limit');
  const token = query.get('continue') ?? '';
  const from = token === '' ? undefined : decodeContinue(token);
  const exact = query.get('resourceVersionMatch') === 'Exact';
  const asked = query.get('resourceVersion') ?? '';
  if (exact && (asked === '' || asked === '0')) throw badRequest('resourceVersionMatch=Exact needs a resourceVersion');
  const wanted = asked === '' ? undefined : revisionOf(asked, 'resourceVersion');
  if (wanted !== undefined && wanted > store.revision) throw tooLargeResourceVersion(asked, store.revision);
  const all = selection.labels.length === 0 && selection.fields.length === 0;
  const page = storeErrors(store, () =>
    store.list({
      resource: resource.stored.resource,
      namespace: selection.namespace,
      name: selection.name,
      after: from?.after,
      limit: limit === 0 ? undefined : limit,
      // The first page is of now; those that follow must be of the same state.
      revision: from?.revision ?? (exact ? wanted : undefined),
      matches: all ? undefined : (object) => selects(selection, object),
    }),
  );
  return {
    items: page.items,
    metadata: {
      resourceVersion: String(page.revision),
      ...(page.next === undefined ? {} : { continue: encodeContinue(page.revision, page.next) }),
      ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
    },
  };
}

function encodeContinue(revision: number, after: string): string {
  return Buffer.from(JSON.stringify({ v: 'aquifer/1', rv: revision, start: after })).toString('base64url');
}

function decodeContinue(token: string): { readonly revision: number; readonly after: string } {
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as Record<string, unknown>;
    if (v === 'aquifer/1' && typeof rv === 'number' && Number.isSafeInteger(rv) && typeof start === 'string') {
      return { revision: rv, after: start };
    }
  } catch {
    // Not JSON: the same answer as for JSON of another shape.
  }
  throw badRequest('continue key is not valid');
}

function revisionOf(text: string, field: string): number {
  if (!/^\d{1,15}$/.test(text)) throw badRequest(`${field} ${JSON.stringify(text)} is not a resource version`);
  return Number(text);
}

/** Text that clients look for to start anew. */
function storeErrors<T>(store: Store, read: () => T): T {
  try {
    return read();
  } catch (e) {
    if (!(e instanceof StoreError)) throw e;
    throw apiErrorOf(e, store);
  }
}

function apiErrorOf(e: StoreError, store: Store): ApiError {
  if (e.failure.kind === 'future') return tooLargeResourceVersion('requested', store.revision);
  return expired('The resourceVersion for the provided list or watch is too old.');
}

/** ApiError 400, 410, 504. */
export function watch(store: Store, resource: Resource, selection: Selection, query: URLSearchParams): Watch {
  const text = query.get('resourceVersion') ?? '';
  const match = query.get('resourceVersionMatch') ?? '';
  const initial = isTrue(query.get('sendInitialEvents')) && query.has('sendInitialEvents');
  if (
    query.has('sendInitialEvents') !== (match === 'NotOlderThan') &&
    (query.has('sendInitialEvents') || match !== '')
  ) {
    const message = 'sendInitialEvents and resourceVersionMatch=NotOlderThan belong together';
    throw invalid('meta.k8s.io', 'ListOptions', '', [
      { reason: 'FieldValueForbidden', field: 'resourceVersionMatch', message },
    ]);
  }
  const wanted = text === '' ? 0 : revisionOf(text, 'resourceVersion');
  if (wanted > store.revision) throw tooLargeResourceVersion(text, store.revision);
  // Without a version a watch begins with what is there.
  const withState = initial || (wanted === 0 && !query.has('sendInitialEvents'));
  const timeoutSeconds = numberIn(query, 'timeoutSeconds');
  return storeErrors(
    store,
    () =>
      new LogWatch(store, resource, selection, {
        from: withState || wanted === 0 ? undefined : wanted,
        withState,
        announceEnd: initial,
        bookmarks: isTrue(query.get('allowWatchBookmarks')) && query.has('allowWatchBookmarks'),
        timeout: timeoutSeconds === undefined || timeoutSeconds === 0 ? undefined : timeoutSeconds * 1000,
      }),
  );
}

interface WatchPlan {
  /** undefined: from now on. */
  readonly from: number | undefined;
  readonly withState: boolean;
  readonly announceEnd: boolean;
  readonly bookmarks: boolean;
  readonly timeout: number | undefined;
}

class LogWatch implements Watch {
  readonly timeout: number | undefined;
  readonly #store: Store;
  readonly #selection: Selection;
  readonly #cursor: Cursor;
  readonly #bookmarks: boolean;
  /** What is there when the watch begins, still to be sent. */
  #state: readonly WatchItem[];

  constructor(store: Store, resource: Resource, selection: Selection, plan: WatchPlan) {
    this.#store = store;
    this.#selection = selection;
    this.#cursor = store.watch(resource.stored.resource, plan.from ?? store.revision);
    this.#bookmarks = plan.bookmarks;
    this.timeout = plan.timeout;
    this.#state = plan.withState ? this.#initial(resource, plan.announceEnd) : [];
  }

  #initial(resource: Resource, announceEnd: boolean): readonly WatchItem[] {
    const { namespace, name } = this.#selection;
    const { items, revision } = this.#store.list({
      resource: resource.stored.resource,
      namespace,
      name,
      matches: (o) => selects(this.#selection, o),
    });
    const state: WatchItem[] = items.map((object) => ({ type: 'ADDED', object }));
    return announceEnd ? [...state, { type: 'BOOKMARK', revision: String(revision), initialEnd: true }] : state;
  }

  get onMore(): (() => void) | undefined {
    return this.#cursor.onChange;
  }

  set onMore(notify: (() => void) | undefined) {
    this.#cursor.onChange = notify;
  }

  take(limit: number): readonly WatchItem[] {
    if (this.#state.length > 0) {
      const some = this.#state.slice(0, limit);
      this.#state = this.#state.slice(limit);
      return some;
    }
    // Changes of others in between cost a look each, so many of them are one step.
    const items: WatchItem[] = [];
    while (items.length === 0) {
      const changes = storeErrors(this.#store, () => this.#cursor.take(limit));
      if (changes.length === 0) break;
      for (const change of changes) {
        const item = this.#itemOf(change);
        if (item !== undefined) items.push(item);
      }
    }
    return items;
  }

  /** An object that begins or ends to be selected appears or disappears for this watch. */
  #itemOf({ type, current, previous }: Change): WatchItem | undefined {
    const was = previous !== undefined && selects(this.#selection, previous);
    const is = type !== 'deleted' && selects(this.#selection, current);
    if (is) return { type: was ? 'MODIFIED' : 'ADDED', object: current };
    return was ? { type: 'DELETED', object: current } : undefined;
  }

  bookmark(): string | undefined {
    return this.#bookmarks && this.#state.length === 0 ? String(this.#cursor.revision) : undefined;
  }

  close(): void {
    this.#cursor.close();
  }
}
