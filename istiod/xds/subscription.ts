/**
 * One type of one client: what it asked for, what is on its way, what it refused (ambient-wire 3.7, 3.8). At most one response is
 * unanswered; changes meanwhile are merged into the next.
 */
import type { Resource } from '../model/resource.ts';
import type { Feed, Message, Part } from './feed.ts';
import { Everything, type Interest, Named, State } from './interest.ts';

/** A request of either form of xDS. */
export interface Ask {
  readonly typeUrl: string;
  readonly names: Names;
  readonly nonce: string;
  /** Of a NACK. */
  readonly error: string | undefined;
}

export type Names =
  | {
      readonly kind: 'delta';
      readonly subscribe: readonly string[];
      readonly unsubscribe: readonly string[];
      /** What the client has from an earlier connection. */
      readonly versions: ReadonlyMap<string, string>;
    }
  | { readonly kind: 'state'; readonly names: readonly string[] };

export type Answer =
  | { readonly kind: 'none' }
  | { readonly kind: 'ack' }
  | { readonly kind: 'nack'; readonly reason: string }
  /** The client asks for more than it may. */
  | { readonly kind: 'excess'; readonly reason: string };

/** What people see of it. */
export interface SubscriptionStatus {
  readonly sent: string;
  readonly acked: string;
  /** Names asked for; empty: everything. */
  readonly watches: readonly string[];
  readonly lastError: string;
}

/** Names that one client may ask for of one type. */
const mostNames = 100_000;

export class Subscription {
  readonly feed: Feed;
  readonly #node: string;
  #interest: Interest | undefined;
  #outstanding: Message | undefined;
  #toldBefore = -1;
  #status: SubscriptionStatus = { sent: '', acked: '', watches: [], lastError: '' };
  /** Name -> reason of what the client refused and was not sent anew. */
  readonly #rejected = new Map<string, string>();

  constructor(feed: Feed, node: string) {
    this.feed = feed;
    this.#node = node;
  }

  get hasPending(): boolean {
    return this.#interest?.hasPending ?? false;
  }

  get hasPendingUpdates(): boolean {
    return this.#interest?.hasPendingUpdates ?? false;
  }

  /** An unanswered response holds further ones back. */
  get isWaiting(): boolean {
    return this.#outstanding !== undefined;
  }

  get status(): SubscriptionStatus {
    return this.#status;
  }

  /** Generation up to which nothing has to be remembered for this client. */
  get told(): number {
    return this.isWaiting ? this.#toldBefore : (this.#interest?.told ?? 0);
  }

  /** How far the client is with these resources, which changed last at that generation; undefined where it asked for none of them. */
  progress(
    resources: readonly Resource[],
    generation: number,
  ): { readonly done: boolean; readonly rejected?: string } | undefined {
    const interest = this.#interest;
    if (interest === undefined) return undefined;
    const isNamed = interest instanceof Named;
    const wanted = isNamed ? resources.filter((r) => interest.wants(r.name)) : resources;
    if (isNamed && wanted.length === 0) return undefined;
    const refused = this.#rejected.size === 0 ? undefined : wanted.find((r) => this.#rejected.has(r.name));
    if (refused !== undefined) return { done: false, rejected: this.#rejected.get(refused.name)! };
    if (!isNamed) return { done: this.told >= generation };
    return { done: !wanted.some((r) => interest.owes(r.name) || this.#outstanding?.names.has(r.name)) };
  }

  changed(names: ReadonlySet<string>): void {
    this.#interest?.changed(names);
  }

  /** The client waits for these anew, though it may have them. */
  again(names: Iterable<string>): void {
    this.#interest?.again(names);
  }

  request(ask: Ask): Answer {
    const { names } = ask;
    if (names.kind === 'state') this.#askState(names.names);
    else this.#askDelta(names);
    const interest = this.#interest;
    if (interest instanceof Named && interest.size > mostNames) {
      return { kind: 'excess', reason: `more than ${mostNames} names are asked for` };
    }
    return this.#answer(ask);
  }

  /** The next response; undefined when there is nothing to say. */
  next(part: Part): Message | undefined {
    const interest = this.#interest;
    if (interest === undefined || this.isWaiting) return undefined;
    const before = interest.hasPending && this.#status.sent === '' ? -1 : interest.told;
    const message = interest.next(part);
    if (message === undefined) return undefined;
    this.#toldBefore = before;
    this.#outstanding = message;
    this.#status = { ...this.#status, sent: message.nonce };
    return message;
  }

  #askState(names: readonly string[]): void {
    const wanted = names.length === 0 || names.includes('*') ? undefined : new Set(names);
    if (this.#interest instanceof State && this.#interest.isOf(wanted)) return;
    this.#interest = new State(this.feed, wanted);
    this.#status = { ...this.#status, watches: names };
  }

  #askDelta({ subscribe, unsubscribe, versions }: Extract<Names, { kind: 'delta' }>): void {
    const before = this.#interest;
    const notAll = unsubscribe.includes('*');
    if (before === undefined && !notAll && (subscribe.length === 0 || subscribe.includes('*'))) {
      this.#interest = new Everything(this.feed, versions);
    } else if (before === undefined) {
      const named = new Named(this.feed, this.#node, true);
      named.resume(versions);
      this.#interest = named;
    } else if (before instanceof Named && subscribe.includes('*') && !notAll) {
      this.#interest = new Everything(this.feed, before.held);
    } else if (before instanceof Everything && notAll) {
      this.#interest = new Named(this.feed, this.#node, false);
    }
    if (!(this.#interest instanceof Named)) return;
    for (const name of subscribe) if (name !== '*') this.#interest.ask(name);
    for (const name of unsubscribe) if (name !== '*') this.#interest.forget(name);
  }

  /** Only the answer to the newest response counts: an older nonce is stale. */
  #answer({ nonce, error }: Ask): Answer {
    const outstanding = this.#outstanding;
    if (outstanding === undefined || nonce !== outstanding.nonce) return { kind: 'none' };
    this.#outstanding = undefined;
    for (const name of this.#rejected.keys()) if (outstanding.names.has(name)) this.#rejected.delete(name);
    if (error === undefined) {
      this.#status = { ...this.#status, acked: nonce, lastError: '' };
      return { kind: 'ack' };
    }
    this.#status = { ...this.#status, lastError: error };
    for (const [name, reason] of refusals(error, outstanding.names)) this.#rejected.set(name, reason);
    return { kind: 'nack', reason: error };
  }
}

/**
 * The client has applied what it could; which resources it refused only its message says: `name: reason`, several with `; ` or line
 * breaks between. Where it names none, all count as refused.
 */
export function refusals(error: string, names: ReadonlySet<string>): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const part of error.slice(0, 65_536).split(/; |\n/)) {
    const at = part.indexOf(': ');
    const name = part.slice(0, at).trim();
    if (at > 0 && names.has(name)) found.set(name, part.slice(at + 2, at + 1_002));
  }
  if (found.size > 0) return found;
  // Envoy's: `Error adding/updating cluster(s) NAME: reason, NAME: reason`.
  for (const name of names) {
    const at = error.indexOf(`${name}: `);
    if (at < 0 || (at > 0 && !/[\s,]/.test(error[at - 1]!))) continue;
    found.set(name, error.slice(at + name.length + 2, at + name.length + 1_002));
  }
  if (found.size > 0) return found;
  return new Map([...names].map((name) => [name, error.slice(0, 1_000)]));
}
