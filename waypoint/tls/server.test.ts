import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { before, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { connect } from 'node:tls';
import { millis } from '../../common/core/brand.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import type { ByteStream } from '../net/byte-stream.ts';
import { streamPair } from '../net/pair.ts';
import { HandshakeTurns } from './handshake-turns.ts';
import { SecretStore } from './secrets.ts';
import { TlsServer } from './server.ts';

const timeout = millis(10_000);

/** A client that sends what the test says, and only looks whether it is answered. */
class Client {
  readonly near: ByteStream;
  readonly far: ByteStream;
  answered = false;
  closed = false;

  constructor() {
    [this.near, this.far] = streamPair();
    this.near.attach({
      bytes: () => {
        this.answered = true;
      },
      ended: () => undefined,
      closed: () => {
        this.closed = true;
      },
      drained: () => undefined,
    });
  }
}

/** The first flight of OpenSSL's client. */
function greeting(): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = new Duplex({ read: () => undefined, write: (chunk: Buffer) => resolve(chunk) });
    connect({ socket }).on('error', () => undefined);
  });
}

describe('TLS with clients', () => {
  let hello: Buffer;
  let server: TlsServer;
  let clock: FakeClock;
  before(async () => {
    hello = await greeting();
    const ca = await createFakeCa();
    const own = await ca.issue({ trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'waypoint' });
    const inline = (text: string) => ({ kind: 'inline', bytes: Buffer.from(text) }) as const;
    const pair = { chain: inline(own.chain.join('\n')), key: inline(own.privateKey) };
    const common = {
      ...({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: [], curves: [], alpn: [] } as const),
      certificates: [{ kind: 'inline', pair } as const],
      validation: undefined,
    };
    clock = new FakeClock();
    const env = { secrets: new SecretStore(), handshakes: new HandshakeTurns(), clock };
    server = new TlsServer({ common, requireClientCertificate: false }, env);
  });

  /** Ends when `enough` are answered; the result is how many were in each turn of the loop. */
  async function answers(clients: readonly Client[], enough: number): Promise<readonly number[]> {
    const counts: number[] = [];
    for (let before = 0; before < enough; ) {
      await turn();
      const now = clients.filter((client) => client.answered).length;
      counts.push(now - before);
      before = now;
    }
    return counts;
  }

  it('that greet together begins with one after the other, and leaves others their turn between them', async () => {
    const clients = Array.from({ length: 30 }, () => new Client());
    const ends = clients.map(({ far }) => server.accept(far, timeout).catch((error: unknown) => error));
    for (const { near } of clients) near.write(hello);
    const counts = await answers(clients, clients.length);
    // A turn of the test's is up to two of the loop's.
    assert.ok(Math.max(...counts) <= 2 * HandshakeTurns.atOnce, `${counts}`);
    for (const { near } of clients) near.destroy();
    await Promise.all(ends);
  });

  it('does not wait for one that says nothing, which is cut in time', async () => {
    const [silent, other] = [new Client(), new Client()];
    const end = assert.rejects(server.accept(silent.far, timeout), /closed before the TLS handshake/);
    const next = server.accept(other.far, timeout).catch(() => undefined);
    other.near.write(hello);
    await answers([silent, other], 1);
    assert.ok(other.answered && !silent.answered);
    clock.advance(timeout);
    await end;
    await next;
    assert.ok(silent.far.destroyed && other.far.destroyed);
    assert.equal(clock.timers, 0);
  });

  it('leaves the turn of one that went away while it waited to the next', async () => {
    const clients = Array.from({ length: 10 }, () => new Client());
    const ends = clients.map(({ far }) => server.accept(far, timeout).catch((error: Error) => error.message));
    for (const { near } of clients) near.write(hello);
    await answers(clients, 1);
    const late = clients.filter(({ answered }) => !answered).slice(-4);
    for (const { near } of late) near.destroy();
    await answers(clients, clients.length - late.length);
    for (const { near } of clients) near.destroy();
    await Promise.all(ends);
    assert.deepEqual(
      late.filter(({ answered }) => answered),
      [],
    );
  });
});
