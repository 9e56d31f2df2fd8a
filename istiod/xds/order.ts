/** In which order a client is told of several types, so that at no moment it knows a reference without what it refers to. */
import { addressTypeUrl, authorizationTypeUrl, workloadTypeUrl } from '../../common/api/index.ts';
import { clusterTypeUrl, endpointTypeUrl, listenerTypeUrl, routeTypeUrl, secretTypeUrl } from '../envoy/types.ts';
import type { FeedType, Message, Part } from './feed.ts';
import type { Subscription } from './subscription.ts';

export interface Sender {
  subscription(type: FeedType): Subscription | undefined;
  /** Sends what there is to say, if the client has answered what was sent before. */
  send(subscription: Subscription, part: Part): Message | undefined;
}

export interface Order {
  /** Sends what may go now. Ms after which it wants to be called again; undefined: an answer or a change comes first. */
  push(sender: Sender, now: number): number | undefined;
  /** Ms that the first subscription waits for another one. */
  waitsFor(first: FeedType): number;
}

/** Ms that a client has for its second subscription, before the first is answered: addresses come with their policies then. */
const secondRequest = 10;

/** Policies that are new go before the addresses that may refer to them, policies that are gone after the addresses that referred to them. */
export class WorkloadOrder implements Order {
  push(sender: Sender): undefined {
    const policies = sender.subscription(authorizationTypeUrl);
    const others = [addressTypeUrl, workloadTypeUrl].flatMap((t) => sender.subscription(t as FeedType) ?? []);
    if (policies !== undefined) {
      const kept = others.some((s) => s.hasPending || s.isWaiting);
      sender.send(policies, kept ? 'without-removals' : 'all');
    }
    const policiesHeldBack = policies?.isWaiting && policies.hasPendingUpdates;
    if (!policiesHeldBack) for (const s of others) sender.send(s, 'all');
  }

  waitsFor(first: FeedType): number {
    return first === authorizationTypeUrl ? 0 : secondRequest;
  }
}

/** Ms that an Envoy has to ask for the endpoints of clusters that are new to it. */
const askingTime = 20;
/** Ms after which listeners and routes do not wait for endpoints any more. */
const longestWarming = 1_000;

/**
 * Clusters, their endpoints, then the listeners and routes that send to them; clusters that are gone after what sent to them. An
 * Envoy answers 503 for a cluster that it does not know or that still waits for its endpoints.
 */
export class EnvoyOrder implements Order {
  /** New clusters are on their way (`confirmedAt` undefined), or their endpoints. */
  #warming: { confirmedAt: number | undefined } | undefined;

  push(sender: Sender, now: number): number | undefined {
    const [clusters, endpoints] = [sender.subscription(clusterTypeUrl), sender.subscription(endpointTypeUrl)];
    const users = [listenerTypeUrl, routeTypeUrl].flatMap((t) => sender.subscription(t as FeedType) ?? []);
    // Nothing waits for it, and what is there may be used before anything else changes.
    const secrets = sender.subscription(secretTypeUrl);
    if (secrets !== undefined) sender.send(secrets, 'all');
    if (clusters !== undefined) {
      const kept = users.some((s) => s.hasPending || s.isWaiting);
      const sent = sender.send(clusters, kept ? 'without-removals' : 'all');
      if (sent !== undefined && sent.resources.length > 0) {
        this.#warming = { confirmedAt: undefined };
        // Also of clusters that it had: it waits for their endpoints as if it had none, and confirms no cluster before they come.
        endpoints?.again(sent.resources.map((r) => r.name));
      }
    }
    if (endpoints !== undefined) sender.send(endpoints, 'all');
    const wait = this.#holdsBack(clusters, endpoints, now);
    if (wait !== 0) return wait;
    for (const s of users) sender.send(s, 'all');
    return undefined;
  }

  waitsFor(): number {
    return 0;
  }

  /** 0: listeners and routes may go. */
  #holdsBack(clusters: Subscription | undefined, endpoints: Subscription | undefined, now: number): number | undefined {
    const warming = this.#warming;
    if (warming === undefined) return 0;
    if (clusters?.isWaiting) return undefined;
    warming.confirmedAt ??= now;
    const age = now - warming.confirmedAt;
    const isOpen = endpoints !== undefined && (endpoints.isWaiting || endpoints.hasPendingUpdates);
    if (age < askingTime) return askingTime - age;
    if (isOpen && age < longestWarming) return longestWarming - age;
    this.#warming = undefined;
    return 0;
  }
}
