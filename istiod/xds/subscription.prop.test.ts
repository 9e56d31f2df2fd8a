/** Random changes, answers and losses against clients of every kind: each ends with what the mesh is, and was never told out of order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  deltaResponseMessage,
  discoveryResponseMessage,
} from '../../common/api/index.ts';
import { ResourceCatalog } from '../model/catalog.ts';
import type { Resource } from '../model/resource.ts';
import { Feed, type FeedType, type Message } from './feed.ts';
import { Journal } from './journal.ts';
import { Subscription } from './subscription.ts';

const names = ['a', 'b', 'c', 'd', 'e'];

class Mesh {
  readonly catalog = new ResourceCatalog();
  readonly journals = { [addressTypeUrl]: new Journal(), [authorizationTypeUrl]: new Journal() };
  generation = 0;
  nonce = 0;

  feed(type: typeof addressTypeUrl | typeof authorizationTypeUrl): Feed {
    const journal = this.journals[type];
    return new Feed({ type, catalog: this.catalog, journal, nonce: () => String(++this.nonce), controlPlane: '{}' });
  }

  set(type: typeof addressTypeUrl | typeof authorizationTypeUrl, name: string, version: string): void {
    this.catalog.set(resource(type, name, version));
    this.journals[type].note(++this.generation, [name]);
  }

  /** As `set`, to be told with removals. */
  setLate(type: typeof addressTypeUrl | typeof authorizationTypeUrl, name: string, version: string): void {
    this.set(type, name, version);
    this.journals[type].noteLate(this.generation, [name]);
  }

  delete(type: typeof addressTypeUrl | typeof authorizationTypeUrl, name: string): void {
    const there = this.catalog.resources(type).get(name);
    if (there !== undefined && this.catalog.delete(there)) this.journals[type].note(++this.generation, [name]);
  }

  versions(type: FeedType): Map<string, string> {
    const kept = type === authorizationTypeUrl ? authorizationTypeUrl : addressTypeUrl;
    return new Map([...this.catalog.resources(kept).values()].map((r) => [r.name, r.version]));
  }
}

function resource(type: typeof addressTypeUrl | typeof authorizationTypeUrl, name: string, version: string): Resource {
  const bytes = Buffer.from([0x0a, 1, version.charCodeAt(0)]);
  return { type, name, version, bytes, aliases: [], node: '', services: [], inputs: [] };
}

/** What a client has, from what it was sent. */
function apply(held: Map<string, string>, message: Message): void {
  const { resources, removedResources } = deltaResponseMessage.decode(message.bytes);
  for (const r of resources) held.set(r.name, r.version);
  for (const name of removedResources) held.delete(name);
}

const change = fc.record({
  kind: fc.constantFrom('set' as const, 'set-late' as const),
  name: fc.constantFrom(...names),
  version: fc.constantFrom('1', '2', '3'),
});
const removal = fc.record({ kind: fc.constant('delete' as const), name: fc.constantFrom(...names) });
const step = fc.oneof(
  change,
  removal,
  fc.record({
    kind: fc.constantFrom(
      'push' as const,
      'push-updates' as const,
      'ack' as const,
      'nack' as const,
      'reconnect' as const,
      'forget' as const,
    ),
  }),
);

const delta = (versions: ReadonlyMap<string, string>) => ({
  typeUrl: addressTypeUrl,
  nonce: '',
  error: undefined,
  names: { kind: 'delta' as const, subscribe: [], unsubscribe: [], versions },
});

test('who follows everything has everything in the end, and gets nothing twice', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const mesh = new Mesh();
      const feed = mesh.feed(addressTypeUrl);
      const held = new Map<string, string>();
      let client = new Subscription(feed, '');
      client.request(delta(new Map()));
      let outstanding: Message | undefined;
      /** Names that were changed late since everything was told. */
      const late = new Set<string>();
      const answer = (error?: string) => {
        if (outstanding === undefined) return;
        const sent = outstanding;
        outstanding = undefined;
        client.request({ ...delta(new Map()), nonce: sent.nonce, error });
      };
      const push = (part: 'all' | 'without-removals') => {
        if (!client.hasPending || client.isWaiting) return;
        outstanding = client.next(part);
        if (outstanding === undefined) return;
        for (const r of outstanding.resources) assert.notEqual(held.get(r.name), r.version, 'sent though it is there');
        if (part === 'without-removals') {
          assert.equal(outstanding.removed.length, 0);
          for (const r of outstanding.resources) assert.ok(!late.has(r.name), 'told too early');
        } else late.clear();
        apply(held, outstanding);
      };
      for (const s of steps) {
        if (s.kind === 'set') mesh.set(addressTypeUrl, s.name, s.version + mesh.generation);
        else if (s.kind === 'set-late') {
          mesh.setLate(addressTypeUrl, s.name, s.version + mesh.generation);
          late.add(s.name);
        } else if (s.kind === 'delete') mesh.delete(addressTypeUrl, s.name);
        else if (s.kind === 'push') push('all');
        // The first response has removals of another life, so it is never cut.
        else if (s.kind === 'push-updates') {
          if (client.status.sent !== '') push('without-removals');
        } else if (s.kind === 'ack') answer();
        else if (s.kind === 'nack') answer('a: no');
        else if (s.kind === 'forget') mesh.journals[addressTypeUrl].forget(() => client.told);
        else {
          client = new Subscription(feed, '');
          client.request(delta(new Map(held)));
          outstanding = undefined;
          late.clear();
        }
      }
      for (let i = 0; i < 3; i++) {
        answer();
        push('all');
      }
      answer();
      assert.deepEqual([...held].sort(), [...mesh.versions(addressTypeUrl)].sort());
      const all = [...mesh.catalog.resources(addressTypeUrl).values()];
      const refused = steps.some((step) => step.kind === 'nack');
      if (!refused) assert.deepEqual(client.progress(all, mesh.generation), { done: true });
    }),
    { numRuns: 500 },
  );
});

test('state of the world has all of it each time', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(change, removal), { maxLength: 30 }), (steps) => {
      const mesh = new Mesh();
      const client = new Subscription(mesh.feed(authorizationTypeUrl), '');
      client.request({
        typeUrl: authorizationTypeUrl,
        nonce: '',
        error: undefined,
        names: { kind: 'state', names: [] },
      });
      for (const s of steps) {
        if (s.kind === 'set') mesh.set(authorizationTypeUrl, s.name, s.version);
        else mesh.delete(authorizationTypeUrl, s.name);
      }
      assert.ok(client.hasPending);
      const message = client.next('all')!;
      const { resources, nonce } = discoveryResponseMessage.decode(message.bytes);
      assert.equal(resources.length, mesh.versions(authorizationTypeUrl).size);
      assert.ok(!client.hasPending && client.isWaiting);
      client.request({ typeUrl: authorizationTypeUrl, nonce, error: undefined, names: { kind: 'state', names: [] } });
      assert.ok(!client.isWaiting && !client.hasPending);
    }),
    { numRuns: 100 },
  );
});

test('clients in the same place share the bytes', () => {
  const mesh = new Mesh();
  const feed = mesh.feed(addressTypeUrl);
  mesh.set(addressTypeUrl, 'a', '1');
  const clients = Array.from({ length: 3 }, () => new Subscription(feed, ''));
  for (const c of clients) c.request(delta(new Map()));
  const first = clients.map((c) => c.next('all')!);
  assert.ok(first.every((m) => m.bytes === first[0]!.bytes));
  for (const [i, c] of clients.entries()) c.request({ ...delta(new Map()), nonce: first[i]!.nonce });
  mesh.set(addressTypeUrl, 'a', '2');
  const second = clients.map((c) => c.next('all')!);
  assert.ok(second.every((m) => m.bytes === second[0]!.bytes));
});

test('a refusal is remembered by name until the name is sent anew', () => {
  const mesh = new Mesh();
  const client = new Subscription(mesh.feed(addressTypeUrl), '');
  client.request(delta(new Map()));
  mesh.set(addressTypeUrl, 'a', '1');
  mesh.set(addressTypeUrl, 'b', '1');
  const [a, b] = ['a', 'b'].map((name) => mesh.catalog.resources(addressTypeUrl).get(name)!);
  const sent = client.next('all')!;
  client.request({ ...delta(new Map()), nonce: sent.nonce, error: 'a: too long' });
  assert.deepEqual(client.progress([a!], 1), { done: false, rejected: 'too long' });
  assert.deepEqual(client.progress([b!], 2), { done: true });
  mesh.set(addressTypeUrl, 'a', '2');
  client.request({ ...delta(new Map()), nonce: client.next('all')!.nonce });
  assert.deepEqual(client.progress([a!], 3), { done: true });
});
