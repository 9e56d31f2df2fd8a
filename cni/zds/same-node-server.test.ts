import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Millis, NetnsCookie } from '../../common/core/brand.ts';
import { silentLogger } from '../../common/core/log.ts';
import { ip, port } from '../../common/testing/builders.ts';
import { decodeSameNodeNews, encodeSameNode, type SameNodeOrder } from '../../common/zds/same-node.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';
import type { DirectEvent, DirectPair } from '../capture/types.ts';
import { SameNodeServer } from './same-node-server.ts';

const cookie = (n: number) => BigInt(n) as NetnsCookie;
const order = { source: 'a', destination: 'b', ip: ip('10.0.0.2'), port: port(80) };
const grant: SameNodeOrder = { kind: 'grant', ...order };
const revoke: SameNodeOrder = { kind: 'revoke', ...order };
const event: DirectEvent = {
  kind: 'closed',
  netns: cookie(1),
  client: { ip: ip('10.0.0.1'), port: port(40_000) },
  server: { ip: ip('10.0.0.2'), port: port(80) },
  ms: 1,
  sent: 2,
  received: 3,
};

function world() {
  const journal: string[] = [];
  const pods = new Map([
    ['a', { uid: 'a', cookie: cookie(1), ips: [ip('10.0.0.1')] }],
    ['b', { uid: 'b', cookie: cookie(2), ips: [ip('10.0.0.2'), ip('fd00::2')] }],
  ]);
  const text = ({ source, destination, target }: DirectPair) => `${source}>${destination} ${target.ip}:${target.port}`;
  let accept: (connection: SeqpacketConnection) => void = () => undefined;
  const server = new SameNodeServer(
    {
      onConnection: (handler) => {
        accept = handler;
      },
      close: () => undefined,
      unref: () => undefined,
    },
    {
      log: silentLogger,
      sameNode: {
        watch: () => undefined,
        grant: (pair: DirectPair, _: Millis) => void journal.push(`grant ${text(pair)}`),
        revoke(pair) {
          journal.push(`revoke ${text(pair)}`);
          // The kernel tells of what it cuts before this returns.
          server.onEvent({ ...event, kind: 'reset' });
        },
        revokeAll: () => undefined,
        sweep: () => undefined,
      },
      pod: (uid) => pods.get(uid),
      eligible: () => [...pods.keys()],
      onRefused: () => void journal.push('refused'),
    },
  );
  const ztunnel = (uid = 0) => {
    const told: string[] = [];
    let packet: (p: Packet) => void = () => undefined;
    let closed: () => void = () => undefined;
    accept({
      peer: { pid: 1, uid },
      send(data) {
        const news = decodeSameNodeNews(data);
        assert.equal(news.kind, 'ok');
        if (news.kind !== 'ok') return;
        const { value } = news;
        told.push(value.kind === 'flow' ? value.event : `${value.uid} ${value.eligible}`);
      },
      onPacket: (handler) => {
        packet = handler;
      },
      onClose: (handler) => {
        closed = () => handler(undefined);
      },
      close() {
        told.push('closed by the agent');
        closed();
      },
      unref: () => undefined,
    });
    return {
      told,
      say: (o: SameNodeOrder) => packet({ data: encodeSameNode(o), fds: [] }),
      raw: (data: Uint8Array) => packet({ data, fds: [] }),
      leave: () => closed(),
    };
  };
  return { server, journal, pods, ztunnel };
}

test('a pair of pods that take part stands until its ztunnel takes it back, and is told of', () => {
  const { server, journal, ztunnel } = world();
  const z = ztunnel();
  assert.deepEqual(z.told.splice(0), ['a true', 'b true']);
  z.say(grant);
  server.onEvent({ ...event, kind: 'opened' });
  server.onEvent({ ...event, server: { ip: ip('10.0.0.3'), port: port(80) } });
  server.onEvent({ ...event, netns: cookie(7) });
  z.say(revoke);
  z.say(revoke);
  assert.deepEqual(journal, ['grant 1>2 10.0.0.2:80', 'revoke 1>2 10.0.0.2:80']);
  assert.deepEqual(z.told, ['opened', 'reset']);
});

test('none is granted to a pod that takes no part, or for an address that is not its own', () => {
  const { journal, ztunnel, pods } = world();
  const z = ztunnel();
  z.say({ ...grant, source: 'c' });
  z.say({ ...grant, destination: 'c' });
  z.say({ ...grant, ip: ip('10.0.0.1') });
  pods.delete('b');
  z.say(grant);
  assert.deepEqual(journal, []);
});

test('it ends when a pod takes no part any more, with its ztunnel, and with the agent', () => {
  const ends: readonly ((w: ReturnType<typeof world>, leave: () => void) => void)[] = [
    ({ server }) => server.changed('a', false),
    ({ server }) => server.changed('b', false),
    ({ server }) => server.close(),
    (_, leave) => leave(),
  ];
  for (const end of ends) {
    const w = world();
    const z = w.ztunnel();
    z.say(grant);
    end(w, z.leave);
    assert.deepEqual(w.journal, ['grant 1>2 10.0.0.2:80', 'revoke 1>2 10.0.0.2:80']);
  }
});

test('of two that answer for it one may go; whoever denies ends it', () => {
  const { journal, ztunnel } = world();
  const [first, second] = [ztunnel(), ztunnel()];
  first.say(grant);
  second.say(grant);
  first.leave();
  assert.ok(journal.every((line) => line.startsWith('grant')));
  const third = ztunnel();
  third.say(revoke);
  assert.equal(journal.at(-1), 'revoke 1>2 10.0.0.2:80');
});

test('what is no order, and who is not root, is sent away', () => {
  const { journal, ztunnel } = world();
  const z = ztunnel();
  z.raw(new TextEncoder().encode('{}'));
  assert.equal(z.told.at(-1), 'closed by the agent');
  assert.deepEqual(journal, ['refused']);
  assert.deepEqual(ztunnel(12_345).told, ['closed by the agent']);
});
