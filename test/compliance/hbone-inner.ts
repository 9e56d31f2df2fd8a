/** What every HBONE engine must do inside a tunnel (ambient-wire 2.3): a gateway passes the second connection on as bytes. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { after, describe, it as test } from 'node:test';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import { type Clock, systemClock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import type { SocketAddr } from '../../common/core/net.ts';
import type { HbonePool, InboundTunnel, InnerTarget } from '../../common/hbone/types.ts';
import type { WorkloadCertificate } from '../../common/identity/types.ts';
import { identity } from '../../common/testing/builders.ts';
import { createFakeCa } from '../../common/testing/fake-ca.ts';
import { FakeClock } from '../../common/testing/fake-clock.ts';
import { connectHeaders } from '../../common/testing/hbone-rig.ts';
import { until } from '../../common/testing/until.ts';
import type { HboneEngine } from './hbone.ts';

const client = identity('apps', 'client');
const gateway = identity('infra', 'gateway');
const server = identity('apps', 'server');
const never = new AbortController().signal;

const it = (name: string, body: () => Promise<void>) => test(name, { timeout: 15_000 }, body);

const hasCode = (code: string) => (error: unknown) => {
  assert.ok(error instanceof MeshError, `not a MeshError: ${error}`);
  assert.equal(error.code, code, error.message);
  return true;
};

export function hboneInnerCompliance(engine: HboneEngine): void {
  describe(`HBONE inside a tunnel, engine ${engine.name}`, async () => {
    const { relay, sockets } = engine;
    const ca = await createFakeCa();
    const certificates = new Map([
      [client, await ca.issue(client)],
      [gateway, await ca.issue(gateway)],
      [server, await ca.issue(server)],
    ]);
    const closers: (() => void)[] = [];
    after(() => {
      for (const close of closers) close();
    });

    async function listen(
      onSocket: (socket: ByteStream, remote: SocketAddr, address: SocketAddr) => void,
    ): Promise<SocketAddr> {
      const { address, close } = await sockets.listen((socket, remote) => {
        closers.push(() => socket.destroy());
        onSocket(socket, remote, address);
      });
      closers.push(close);
      return address;
    }

    function serve(certificate: WorkloadCertificate, onTunnel: (tunnel: InboundTunnel) => void) {
      const hbone = engine.createServer({
        clock: systemClock,
        certificate: async () => certificate,
        onTunnel,
        onError: () => undefined,
      });
      closers.push(() => hbone.close());
      return listen((socket, remote, address) => hbone.serve(socket, remote, address));
    }

    const echo = (tunnel: InboundTunnel) => {
      const stream = tunnel.accept({ baggage: 'k8s.namespace.name=far' });
      stream.on('error', () => undefined);
      stream.pipe(stream);
    };

    /** Client, gateway and server; `carriers` are the streams that the gateway passes on. */
    async function rig(onTunnel: (tunnel: InboundTunnel) => void = echo, clock: Clock = systemClock) {
      const carriers: Duplex[] = [];
      const farAddress = await serve(certificates.get(server)!, onTunnel);
      const gatewayAddress = await serve(certificates.get(gateway)!, (tunnel) => {
        void sockets.dial(farAddress).then((onwards) => {
          const stream = tunnel.accept({});
          carriers.push(stream);
          void relay(stream, onwards, { signal: never });
        });
      });
      const pool = engine.createPool({
        clock,
        certificate: async () => certificates.get(client)!,
        dial: sockets.dial,
      });
      closers.push(() => pool.close());
      const outer = async (): Promise<Duplex> => {
        const target = { address: gatewayAddress, expected: [gateway], source: client, sourceIp: '10.0.0.1' };
        return (await pool.connect(target, connectHeaders('svc.ns:80'), never)).stream;
      };
      return { pool, outer, carriers };
    }

    const inner = (pool: HbonePool, carrier: Duplex, over: Partial<InnerTarget> = {}, signal = never) =>
      pool.connectInside(
        carrier,
        { expected: [server], source: client, ...over },
        { ...connectHeaders('svc.ns:80'), forwardedNetwork: 'net-1' },
        signal,
      );

    it('proves the far end and carries headers of its own both ways', async () => {
      let seen: InboundTunnel | undefined;
      const { pool, outer } = await rig((tunnel) => {
        seen = tunnel;
        echo(tunnel);
      });
      const tunnel = await inner(pool, await outer());
      assert.deepEqual(tunnel.peer, server);
      assert.equal(tunnel.responseHeaders['baggage'], 'k8s.namespace.name=far');
      assert.deepEqual(seen!.peer, client);
      assert.equal(seen!.request.authority, 'svc.ns:80');
      assert.equal(seen!.request.forwardedNetwork, 'net-1');
    });

    it('carries 8 MiB there and back, byte for byte, and both ends end in order', async () => {
      const { pool, outer, carriers } = await rig();
      const { stream } = await inner(pool, await outer());
      const sent = createHash('sha256');
      const got = createHash('sha256');
      let bytes = 0;
      stream.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        got.update(chunk);
      });
      const ended = new Promise((resolve) => stream.once('end', resolve));
      for (let i = 0; i < 128; i++) {
        const chunk = randomBytes(65_536);
        sent.update(chunk);
        if (!stream.write(chunk)) await new Promise((resolve) => stream.once('drain', resolve));
      }
      stream.end();
      await ended;
      assert.equal(bytes, 128 * 65_536);
      assert.equal(got.digest('hex'), sent.digest('hex'));
      await until('the carrier to close', () => carriers[0]!.closed);
      assert.equal(carriers[0]!.errored, null);
      await until('the inner connection to go', () => pool.connections === 1);
    });

    it('keeps the directions apart: an end of ours leaves theirs open', async () => {
      let far: Duplex | undefined;
      const { pool, outer } = await rig((tunnel) => {
        far = tunnel.accept({});
        far.on('error', () => undefined);
        far.resume();
      });
      const { stream } = await inner(pool, await outer());
      const farEnded = until('the far stream', () => far).then((f) => new Promise((resolve) => f.once('end', resolve)));
      stream.end('bye');
      await farEnded;
      const text: string[] = [];
      stream.setEncoding('utf8').on('data', (t: string) => text.push(t));
      far!.end('still here');
      await new Promise((resolve) => stream.once('end', resolve));
      assert.equal(text.join(''), 'still here');
    });

    it('shares the tunnels to the gateway, never the connections inside', async () => {
      const { pool, outer, carriers } = await rig();
      await Promise.all(Array.from({ length: 5 }, async () => inner(pool, await outer())));
      assert.equal(carriers.length, 5);
      assert.equal(pool.connections, 1 + 5);
    });

    it('refuses a far end that is not expected, expects nobody in an empty list, and closes the carrier', async () => {
      for (const expected of [[gateway], []]) {
        const { pool, outer, carriers } = await rig();
        const carrier = await outer();
        await assert.rejects(inner(pool, carrier, { expected }), hasCode('TLS_FAILED'));
        assert.ok(carrier.destroyed);
        await until('the end at the gateway', () => carriers[0]!.closed);
        await until('the inner connection to go', () => pool.connections === 1);
      }
    });

    it('reports a refusal with its status and closes the carrier', async () => {
      const { pool, outer } = await rig((tunnel) => tunnel.refuse(401));
      const carrier = await outer();
      await assert.rejects(inner(pool, carrier), (error: unknown) => {
        assert.match((error as Error).message, /401/);
        return hasCode('TUNNEL_REFUSED')(error);
      });
      await until('the carrier to close', () => carrier.closed);
    });

    it('fails the stream, with an error, when the carrier breaks', async () => {
      const { pool, outer, carriers } = await rig();
      const { stream } = await inner(pool, await outer());
      const failed = new Promise<Error>((resolve) => stream.once('error', resolve));
      carriers[0]!.destroy(new Error('cut'));
      assert.ok((await failed) instanceof Error);
      await until('the inner connection to go', () => pool.connections === 1);
    });

    it('resets the far stream when ours is reset', async () => {
      let far: InboundTunnel | undefined;
      const { pool, outer } = await rig((tunnel) => {
        far = tunnel;
        echo(tunnel);
      });
      const { stream } = await inner(pool, await outer());
      stream.on('error', () => undefined);
      stream.destroy(new Error('cut'));
      await until('the far stream to go', () => far!.signal.aborted);
    });

    it('gives up with the caller, also in the middle of TLS', async () => {
      const silent = await serve(certificates.get(gateway)!, (tunnel) => void tunnel.accept({}).resume());
      const pool = engine.createPool({
        clock: systemClock,
        certificate: async () => certificates.get(client)!,
        dial: sockets.dial,
      });
      closers.push(() => pool.close());
      const target = { address: silent, expected: [gateway], source: client, sourceIp: '10.0.0.1' };
      const carrier = (await pool.connect(target, connectHeaders('svc.ns:80'), never)).stream;
      const abort = new AbortController();
      const pending = inner(pool, carrier, {}, abort.signal);
      abort.abort(new MeshError('CANCELLED', 'gone'));
      await assert.rejects(pending, hasCode('CANCELLED'));
      await until('the carrier to close', () => carrier.closed);
    });

    it('does not wait for ever for a far end that says nothing', async () => {
      const silent = await serve(certificates.get(gateway)!, (tunnel) => void tunnel.accept({}).resume());
      const clock = new FakeClock();
      const pool = engine.createPool({
        clock,
        certificate: async () => certificates.get(client)!,
        dial: sockets.dial,
      });
      closers.push(() => pool.close());
      const target = { address: silent, expected: [gateway], source: client, sourceIp: '10.0.0.1' };
      const carrier = (await pool.connect(target, connectHeaders('svc.ns:80'), never)).stream;
      const pending = assert.rejects(inner(pool, carrier), hasCode('TLS_FAILED'));
      await until('the timeout', () => {
        clock.advance(10_000);
        return carrier.destroyed;
      });
      await pending;
    });

    it('drains: refuses new ones, lets an open one finish', async () => {
      const { pool, outer } = await rig();
      const { stream } = await inner(pool, await outer());
      const spare = await outer();
      const drained = pool.drain(10_000);
      await assert.rejects(inner(pool, spare), hasCode('CANCELLED'));
      const text: string[] = [];
      stream.setEncoding('utf8').on('data', (t: string) => text.push(t));
      stream.end('last words');
      await new Promise((resolve) => stream.once('end', resolve));
      assert.equal(text.join(''), 'last words');
      await drained;
      assert.equal(pool.connections, 0);
    });
  });
}
