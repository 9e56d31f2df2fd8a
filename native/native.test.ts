import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { connect, createServer, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import type { Fd } from '../common/core/brand.ts';
import type { Ip, Port } from '../common/core/net.ts';
import { until } from '../common/testing/until.ts';
import { addon } from './addon.ts';
import {
  closeFd,
  dupFd,
  isNativeError,
  netnsIdentity,
  openNetns,
  originalDestination,
  type Packet,
  type SeqpacketConnection,
  seqpacketConnect,
  seqpacketFromFd,
  seqpacketListen,
  seqpacketPair,
  socketName,
  socketsHere,
} from './index.ts';

const built = existsSync(join(import.meta.dirname, 'build/aquifer.node'));
const skip = built ? false : 'the addon is not built: make -C native';

/** Descriptors of this process that are not those of Node's own machinery. */
function descriptors(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      return []; // the one that listed the folder
    }
  });
}

const packet = (c: SeqpacketConnection) => new Promise<Packet>((resolve) => c.onPacket(resolve));
const closed = (c: SeqpacketConnection) => new Promise<Error | undefined>((resolve) => c.onClose(resolve));

describe('native errors', { skip }, () => {
  it('name the errno, the system call and the path', () => {
    assert.throws(
      () => openNetns('/nowhere/netns'),
      (e) => {
        assert.ok(isNativeError(e));
        assert.deepEqual([e.code, e.errno, e.syscall], ['ENOENT', 2, 'open']);
        assert.match(e.message, /\/nowhere\/netns/);
        return true;
      },
    );
  });

  it('report a descriptor that is none', () => {
    assert.throws(() => closeFd(9999 as Fd), { code: 'EBADF', syscall: 'close' });
    assert.throws(() => dupFd(9999 as Fd), { code: 'EBADF' });
  });
});

describe('descriptors', { skip }, () => {
  it('of the same namespace have the same identity', () => {
    const a = openNetns('/proc/self/ns/net');
    const b = dupFd(a);
    assert.deepEqual(netnsIdentity(a), netnsIdentity(b));
    closeFd(a);
    closeFd(b);
  });

  it('that were not captured have no original destination', () => {
    const [a, b] = seqpacketPair();
    assert.equal(originalDestination(a), undefined);
    closeFd(a);
    closeFd(b);
  });
});

describe('seqpacket', { skip }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'aquifer-seqpacket-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('carries packets both ways, with their borders', async () => {
    const path = join(folder, 'both.sock');
    const listener = seqpacketListen(path);
    const accepted = new Promise<SeqpacketConnection>((resolve) => listener.onConnection(resolve));
    const client = seqpacketConnect(path);
    const server = await accepted;
    client.send(Buffer.from('one'));
    client.send(Buffer.from('two'));
    const got: string[] = [];
    await new Promise<void>((resolve) =>
      server.onPacket((p) => {
        got.push(Buffer.from(p.data).toString());
        if (got.length === 2) resolve();
      }),
    );
    assert.deepEqual(got, ['one', 'two']);
    server.send(Buffer.from('back'));
    assert.equal(Buffer.from((await packet(client)).data).toString(), 'back');
    client.close();
    assert.equal(await closed(server), undefined);
    listener.close();
  });

  it('takes the place of a socket that an earlier process left', () => {
    const path = join(folder, 'stale.sock');
    seqpacketListen(path).close();
    assert.ok(existsSync(path));
    seqpacketListen(path).close();
  });

  it('carries descriptors; the sender keeps its own', async () => {
    const [a, b] = seqpacketPair();
    const [left, right] = [seqpacketFromFd(a), seqpacketFromFd(b)];
    const netns = openNetns('/proc/self/ns/net');
    left.send(Buffer.from('x'), [netns, netns]);
    const { fds } = await packet(right);
    assert.equal(fds.length, 2);
    for (const fd of fds) assert.deepEqual(netnsIdentity(fd), netnsIdentity(netns));
    for (const fd of [...fds, netns]) closeFd(fd);
    left.close();
    await closed(right);
  });

  it('queues what a slow peer does not read, in order and with descriptors, up to 128 KiB a packet', async () => {
    const before = descriptors();
    const [a, b] = seqpacketPair();
    const [left, right] = [seqpacketFromFd(a), seqpacketFromFd(b)];
    const netns = openNetns('/proc/self/ns/net');
    for (let i = 0; i < 40; i++) left.send(new Uint8Array(128 * 1024).fill(i), [netns]);
    closeFd(netns);
    let next = 0;
    await new Promise<void>((resolve) =>
      right.onPacket((p) => {
        assert.equal(p.data.length, 128 * 1024);
        assert.equal(p.data[0], next++);
        p.fds.forEach(closeFd);
        if (next === 40) resolve();
      }),
    );
    left.close();
    right.close();
    await closed(right);
    assert.deepEqual(descriptors(), before);
  });

  it('refuses packets that are empty or too large before sending', () => {
    const [a, b] = seqpacketPair();
    const c = seqpacketFromFd(a);
    assert.throws(() => c.send(new Uint8Array(0)), /0 bytes/);
    assert.throws(() => c.send(new Uint8Array(128 * 1024 + 1)), /131073 bytes/);
    c.close();
    closeFd(b);
  });

  it('leaks no descriptor when a handler throws, and says why it closed', async () => {
    const before = descriptors();
    const [a, b] = seqpacketPair();
    const [left, right] = [seqpacketFromFd(a), seqpacketFromFd(b)];
    const netns = openNetns('/proc/self/ns/net');
    left.send(Buffer.from('x'), [netns, netns, netns]);
    closeFd(netns);
    const reason = closed(right);
    right.onPacket(() => {
      throw new Error('no');
    });
    assert.equal((await reason)?.message, 'no');
    left.close();
    assert.deepEqual(descriptors(), before);
  });

  it('closes with what is queued, once, and gives everything back', async () => {
    const before = descriptors();
    const [a, b] = seqpacketPair();
    const left = seqpacketFromFd(a);
    const netns = openNetns('/proc/self/ns/net');
    for (let i = 0; i < 40; i++) left.send(new Uint8Array(64 * 1024), [netns]);
    closeFd(netns);
    let calls = 0;
    left.onClose(() => calls++);
    left.close();
    left.close();
    left.send(Buffer.from('ignored'));
    closeFd(b);
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    assert.equal(calls, 1);
    assert.deepEqual(descriptors(), before);
  });

  it('reports a peer that is gone to a sender by onClose', async () => {
    const [a, b] = seqpacketPair();
    closeFd(b);
    const c = seqpacketFromFd(a);
    c.send(Buffer.from('x'));
    assert.ok(isNativeError(await closed(c)));
  });

  it('reads what a peer had sent that ended without reading all of ours, and the end behind it', async () => {
    const [a, b] = seqpacketPair();
    const left = seqpacketFromFd(a);
    left.send(Buffer.from('unread'));
    assert.equal(addon().sendPacket(b, Buffer.from('one'), []), true);
    assert.equal(addon().sendPacket(b, Buffer.from('two'), []), true);
    closeFd(b);
    const got: string[] = [];
    left.onPacket((p) => got.push(Buffer.from(p.data).toString()));
    assert.equal(await closed(left), undefined);
    assert.deepEqual(got, ['one', 'two']);
  });

  it('reads what a peer had sent before a packet to it failed, and then says why that failed', async () => {
    for (const say of ['send', 'trySend'] as const) {
      const [a, b] = seqpacketPair();
      const left = seqpacketFromFd(a);
      const got: string[] = [];
      left.onPacket((p) => got.push(Buffer.from(p.data).toString()));
      addon().sendPacket(b, Buffer.from('last words'), []);
      closeFd(b);
      assert.equal(left[say](Buffer.from('x')), say === 'send' ? undefined : 'gone');
      assert.equal(left.trySend(Buffer.from('x')), 'gone');
      assert.ok(isNativeError(await closed(left)));
      assert.deepEqual(got, ['last words']);
    }
  });

  it('says of a packet that is not to wait whether the kernel has it', async () => {
    const [a, b] = seqpacketPair();
    const left = seqpacketFromFd(a);
    let sent = 0;
    while (left.trySend(Buffer.from(`${sent}`)) === 'sent') sent++;
    assert.ok(sent > 0);
    left.close();
    assert.equal(left.trySend(Buffer.from('x')), 'gone');
    // What was sent is there although the sender is not, and nothing else.
    const right = seqpacketFromFd(b);
    const got: string[] = [];
    right.onPacket((p) => got.push(Buffer.from(p.data).toString()));
    await closed(right);
    assert.deepEqual(
      got,
      Array.from({ length: sent }, (_, i) => `${i}`),
    );
  });

  it('says full of a packet that would overtake one that waits', () => {
    const [a, b] = seqpacketPair();
    const left = seqpacketFromFd(a);
    while (left.trySend(new Uint8Array(1)) === 'sent');
    left.send(Buffer.from('waits'));
    assert.ok(addon().receivePacket(b));
    assert.equal(left.trySend(Buffer.from('x')), 'full');
    assert.throws(() => left.trySend(new Uint8Array(0)), /0 bytes/);
    left.close();
    closeFd(b);
  });

  it('carries any bytes', async () => {
    const [a, b] = seqpacketPair();
    const [left, right] = [seqpacketFromFd(a), seqpacketFromFd(b)];
    let expect: ((p: Packet) => void) | undefined;
    right.onPacket((p) => expect?.(p));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 5000 }), async (data) => {
        const arrived = new Promise<Packet>((resolve) => {
          expect = resolve;
        });
        left.send(data);
        assert.deepEqual(Buffer.from((await arrived).data), Buffer.from(data));
      }),
    );
    left.close();
    right.close();
  });
});

describe('TCP_USER_TIMEOUT', { skip }, () => {
  it('ends a connection whose peer is silent', async () => {
    // A listener that accepts nobody: once its backlog is full, the kernel drops what comes.
    const at = { ip: '127.0.0.1' as Ip, port: 0 as Port };
    const [listener] = socketsHere({ family: 4, type: 'stream', bind: at, backlog: 1 }, 1);
    const { port } = socketName(listener!);
    const crowd = Array.from({ length: 8 }, () => connect({ host: '127.0.0.1', port }).on('error', () => undefined));
    const [fd] = socketsHere({ family: 4, type: 'stream', userTimeout: 500 }, 1);
    // With a descriptor Node still connects, which its types do not know.
    const socket = connect({ fd: fd!, host: '127.0.0.1', port } as never);
    const failed = await new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
    assert.equal(failed.code, 'ETIMEDOUT');
    for (const s of crowd) s.destroy();
    closeFd(listener!);
  });
});

describe('addresses', { skip }, () => {
  it('are refused where the namespace is none', async () => {
    const { socketsInNetns } = await import('./index.ts');
    const [a, b] = seqpacketPair();
    assert.throws(
      () => socketsInNetns(a, { family: 4, type: 'stream', bind: { ip: '127.0.0.1' as Ip, port: 0 as Port } }, 1),
      { syscall: 'setns' },
    );
    closeFd(a);
    closeFd(b);
  });
});

describe('a listener that takes over', { skip }, () => {
  const ip = '127.0.0.1' as Ip;

  it('gets all new connections and datagrams; alone it gets what an ordinary one gets', async () => {
    for (const type of ['stream', 'dgram'] as const) {
      const first = make(type, 0);
      const { port } = socketName(first);
      const older = receiver(type, first);
      assert.deepEqual(await spread(type, port, older), [20]);
      const newer = receiver(type, make(type, port));
      assert.deepEqual(await spread(type, port, older, newer), [0, 20]);
      older.close();
      assert.deepEqual(await spread(type, port, newer), [20]);
      const newest = receiver(type, make(type, port));
      assert.deepEqual(await spread(type, port, newer, newest), [0, 20]);
      newer.close();
      newest.close();
    }
  });

  function make(type: 'stream' | 'dgram', port: number): Fd {
    const spec = { family: 4, type, reusePort: true, takeOver: true, bind: { ip, port: port as Port } } as const;
    return socketsHere(type === 'stream' ? { ...spec, backlog: 128 } : spec, 1)[0]!;
  }

  interface Receiver {
    received: number;
    close(): unknown;
  }

  function receiver(type: 'stream' | 'dgram', fd: Fd): Receiver {
    const socket = type === 'stream' ? createServer((s) => count(() => s.destroy())) : createSocket('udp4');
    const self: Receiver = { received: 0, close: () => socket.close() };
    const count = (then: () => unknown) => {
      self.received++;
      then();
    };
    if (socket instanceof Server) socket.listen({ fd });
    else socket.on('message', () => self.received++).bind({ fd });
    return self;
  }

  /** How many of 20 each gets. */
  async function spread(type: 'stream' | 'dgram', port: number, ...receivers: Receiver[]): Promise<number[]> {
    const before = receivers.map((r) => r.received);
    const client = createSocket('udp4');
    for (let i = 0; i < 20; i++) {
      if (type === 'dgram') client.send('x', port, ip);
      else connect({ port, host: ip }).on('error', () => undefined);
    }
    const counts = () => receivers.map((r, i) => r.received - before[i]!);
    await until('all have arrived', () => counts().reduce((a, b) => a + b) === 20);
    client.close();
    return counts();
  }
});
