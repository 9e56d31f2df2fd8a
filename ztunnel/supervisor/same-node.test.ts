import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../common/core/log.ts';
import { ip, port } from '../../common/testing/builders.ts';
import { decodeSameNodeOrder, encodeSameNode, type SameNodeNews } from '../../common/zds/same-node.ts';
import type { Packet, SeqpacketConnection } from '../../native/index.ts';
import type { ToWorker } from '../control/messages.ts';
import { SameNodeBroker } from './same-node.ts';

const pair = { source: 'a', destination: 'b', ip: ip('10.0.0.2'), port: port(80) };
const grant = { kind: 'grant' as const, ...pair };
const revoke = { kind: 'revoke' as const, ...pair };
const flow = (event: 'opened' | 'closed'): SameNodeNews => ({
  kind: 'flow',
  event,
  source: 'a',
  clientIp: ip('10.0.0.1'),
  clientPort: port(40_000),
  ip: pair.ip,
  port: pair.port,
  ms: 1,
  sent: 2,
  received: 3,
});

function world(present = true) {
  const sent: unknown[] = [];
  let packet: (p: Packet) => void = () => undefined;
  let closed: () => void = () => undefined;
  const connection: SeqpacketConnection = {
    peer: { pid: 1, uid: 0 },
    send: (data) => {
      const order = decodeSameNodeOrder(data);
      sent.push(order.kind === 'ok' ? order.value : order);
    },
    onPacket: (handler) => {
      packet = handler;
    },
    onClose: (handler) => {
      closed = () => handler(undefined);
    },
    close: () => closed(),
    unref: () => undefined,
  };
  const broker = new SameNodeBroker({
    connect() {
      if (!present) throw new Error('ENOENT');
      return connection;
    },
    log: silentLogger,
  });
  broker.open();
  const worker = () => {
    const told: ToWorker[] = [];
    const w = { told, send: (message: ToWorker) => void told.push(message) };
    broker.workerStarted(w);
    return w;
  };
  return {
    broker,
    sent,
    worker,
    tell: (news: SameNodeNews) => packet({ data: encodeSameNode(news), fds: [] }),
    end: () => closed(),
  };
}

test('orders go to the agent, and a pair ends with the last worker that answers for it', () => {
  const { broker, sent, worker } = world();
  const [first, second] = [worker(), worker()];
  broker.ordered(first, grant);
  broker.ordered(second, grant);
  broker.workerEnded(first);
  assert.deepEqual(sent, [grant, grant]);
  broker.workerEnded(second);
  assert.deepEqual(sent, [grant, grant, revoke]);
  // One that has ended says nothing more.
  broker.ordered(second, grant);
  assert.equal(sent.length, 3);
});

test('any worker that denies ends it for all', () => {
  const { broker, sent, worker } = world();
  const [first, second] = [worker(), worker()];
  broker.ordered(first, grant);
  broker.ordered(second, revoke);
  broker.workerEnded(first);
  assert.deepEqual(sent, [grant, revoke]);
});

test('a connection is told to one worker from its beginning to its end, also when its pair was taken back meanwhile', () => {
  const { broker, worker, tell } = world();
  const [first, second] = [worker(), worker()];
  broker.ordered(second, grant);
  broker.ordered(first, grant);
  tell(flow('opened'));
  broker.ordered(first, revoke);
  tell(flow('closed'));
  assert.deepEqual(
    second.told.map((m) => m.kind === 'sameNode' && m.news.kind === 'flow' && m.news.event),
    ['opened', 'closed'],
  );
  assert.equal(first.told.length, 0);
});

test('who starts later hears which pods take part, and all hear that the agent is gone', () => {
  const { broker, worker, tell, end, sent } = world();
  const first = worker();
  tell({ kind: 'eligible', uid: 'a', eligible: true });
  tell({ kind: 'eligible', uid: 'b', eligible: true });
  tell({ kind: 'eligible', uid: 'a', eligible: false });
  const second = worker();
  assert.deepEqual(second.told, [{ kind: 'sameNode', news: { kind: 'eligible', uid: 'b', eligible: true } }]);
  end();
  for (const { told } of [first, second]) assert.deepEqual(told.at(-1), { kind: 'sameNode', news: { kind: 'gone' } });
  assert.deepEqual(worker().told, []);
  broker.ordered(first, grant);
  assert.deepEqual(sent, []);
  broker.open();
  broker.ordered(first, grant);
  assert.deepEqual(sent, [grant]);
});

test('without such an agent nothing happens', () => {
  const { broker, sent, worker } = world(false);
  broker.ordered(worker(), grant);
  assert.deepEqual(sent, []);
});
