/** The server half of the native engine: one tunnel for each CONNECT. */
import { abortable } from '../../../common/core/abortable.ts';
import type { ByteStream } from '../../../common/core/byte-stream.ts';
import { Cancellation } from '../../../common/core/cancel.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { formatSocketAddr, type SocketAddr } from '../../../common/core/net.ts';
import type { AgainInbound, Heirs } from '../../../common/hbone/again.ts';
import { Emptying } from '../../../common/hbone/emptying.ts';
import { offerTunnel, streamCut, streamGone } from '../../../common/hbone/inbound.ts';
import { closeAtExpiry, handshakeTimeout, keepAlive } from '../../../common/hbone/session.ts';
import type { HboneServer, HboneServerOptions } from '../../../common/hbone/types.ts';
import { defaultWire } from '../../../common/hbone/wire.ts';
import { formatSpiffe } from '../../../common/identity/spiffe.ts';
import type { WorkloadCertificate } from '../../../common/identity/types.ts';
import type { Identity } from '../../../common/mesh/types.ts';
import { verifyClient } from '../../../common/tls/verify.ts';
import { command, type EngineLoop } from '../../../native/engine.ts';
import type { Contexts } from './contexts.ts';
import type { PlanMemory } from './memory.ts';
import { http2Code } from './stream.ts';
import { TcpStream } from './tcp.ts';
import { authenticate, byName, type HeaderList, Tunnel, type TunnelStream } from './tunnel.ts';

/** Peers whose answers are kept for their next connection, and answers of one; the oldest goes. */
const mostPeers = 256;
const mostAnswers = 16;

interface Connection {
  readonly tunnel: Tunnel;
  readonly peer: Identity;
  /** ms since the epoch; no stream is taken from then on. */
  readonly expiresAt: number;
  readonly remote: SocketAddr;
  readonly local: SocketAddr;
}

interface Kept {
  readonly headers: HeaderList;
  readonly answer: AgainInbound;
  readonly heirs: (remote: SocketAddr) => Heirs;
}

export function createNativeServer(
  loop: EngineLoop,
  contexts: Contexts,
  memory: PlanMemory,
  options: HboneServerOptions,
): HboneServer {
  const { clock, wire = defaultWire } = options;
  /** From serve() on, whatever became of them. */
  const open = new Set<{ cut(): void }>();
  const connections = new Set<Connection>();
  /** By peer, and by what is equal in requests. */
  const kept = new Map<string, Map<string, Kept>>();
  const emptying = new Emptying(clock, () => open.size === 0);
  let draining = false;
  let closed = false;

  function serve(socket: ByteStream, remote: SocketAddr, local: SocketAddr): void {
    if (!(socket instanceof TcpStream)) throw new Error('the connection is not of this engine');
    if (closed || socket.destroyed) {
      socket.destroy();
      return;
    }
    const late = new Cancellation();
    const entry = { cut: () => late.abort(streamCut) };
    open.add(entry);
    const leave = () => {
      timer.cancel();
      open.delete(entry);
      emptying.check();
    };
    const timer = clock.after(handshakeTimeout, () =>
      late.abort(new MeshError('TLS_FAILED', `no HBONE handshake within ${handshakeTimeout} ms`)),
    );
    const fail = (error: unknown) => {
      leave();
      if (!closed) options.onError(error instanceof Error ? error : new Error(String(error)), remote);
    };
    abortable(options.certificate(), late).then(
      (certificate) => {
        try {
          handshake(socket, certificate);
        } catch (error) {
          socket.destroy();
          fail(error);
        }
      },
      (error: unknown) => {
        socket.destroy();
        fail(error);
      },
    );

    function handshake(tcp: TcpStream, certificate: WorkloadCertificate): void {
      let connection: Connection | undefined;
      let settled = false;
      const tunnel = new Tunnel(
        loop,
        { tcp, context: contexts.get('server', certificate, wire) },
        {
          handshaken(chain, protocol) {
            const { trustDomain } = certificate.identity;
            const verify = (leaf: { identities: readonly Identity[] }) => verifyClient(leaf.identities, trustDomain);
            const { revocation } = options;
            const peer = authenticate(tunnel, chain, protocol, certificate, 'destination', revocation, verify);
            if (!peer) return;
            connection = { tunnel, peer: peer.peer, expiresAt: peer.expiresAt, remote, local };
            connections.add(connection);
            // Its first requests come together, before any of them could be answered.
            for (const [key, answer] of kept.get(peerKey(connection)) ?? []) keep(connection, key, answer);
            tunnel.facts = {
              role: 'server',
              remote: formatSocketAddr(remote),
              chain: chain.map((der) => Uint8Array.from(der)),
            };
            keepAlive(tunnel, clock, () =>
              tunnel.cut(new MeshError('H2_FAILED', `${formatSocketAddr(remote)} answers no PING`)),
            );
            closeAtExpiry(tunnel, clock, peer.expiresAt);
            tunnel.once(
              'close',
              peer.onRevoked((error) => tunnel.cut(error)),
            );
          },
          settings() {
            settled = true;
            timer.cancel();
            late.removeEventListener('abort', onLate);
          },
          request: (stream, headers) => onStream(connection!, stream, headers),
          leaving: () => undefined,
          flooded() {
            const what = `${formatSocketAddr(remote)} opens and resets streams too fast`;
            options.onError(new MeshError('PROTOCOL', what), remote);
          },
          closed(error) {
            if (connection) connections.delete(connection);
            memory.drop(command.planIn, tunnel.handle);
            late.removeEventListener('abort', onLate);
            // A peer that goes away without a word is a failure only while it still owes us its SETTINGS.
            if (settled) {
              leave();
              if (error && !closed) options.onError(error, remote);
            } else {
              fail(error ?? new MeshError('H2_FAILED', `${formatSocketAddr(remote)} closed before its SETTINGS`));
            }
          },
        },
      );
      const onLate = () => tunnel.cut(late.reason as MeshError);
      entry.cut = () => tunnel.cut(undefined);
      late.addEventListener('abort', onLate);
      if (late.aborted) onLate();
    }
  }

  function onStream(connection: Connection, stream: TunnelStream, headers: HeaderList): void {
    const { tunnel } = connection;
    const gone = new Cancellation();
    stream.onEnding = () => gone.abort(streamGone);
    // A connection that was accepted just before the drain: what it was opened for is served, nothing after it.
    if (draining) setImmediate(() => tunnel.close());
    // closeAtExpiry would come later where the clock was set.
    if (clock.wall() >= connection.expiresAt) {
      stream.refuseWith(http2Code.refusedStream);
      tunnel.close();
      return;
    }
    const fields = byName(headers);
    let answered = false;
    offerTunnel(options, connection, {
      bytes: stream,
      field: (name) => fields.get(name),
      respond(status, responseHeaders, end) {
        // Also by the loop, ahead.
        if (answered || stream.destroyed || stream.isRelayed) return;
        answered = true;
        stream.respond(status, Object.entries(responseHeaders).flat(), end);
      },
      again(answer, heirs) {
        if (draining) return;
        const repeat = { headers, answer, heirs };
        const key = requestKey(headers);
        putNewest(
          kept,
          peerKey(connection),
          putNewest(kept.get(peerKey(connection)) ?? new Map(), key, repeat, mostAnswers),
          mostPeers,
        );
        keep(connection, key, repeat);
      },
      signal: gone,
    });
  }

  function keep({ tunnel, expiresAt, remote }: Connection, key: string, { headers, answer, heirs }: Kept): void {
    if (tunnel.destroyed) return;
    const { asOf, target, bind, sockets } = answer;
    const { slot, generation } = memory.stockOf(sockets).handle;
    const pieces = [
      ...[`${slot}`, `${generation}`, target.ip, `${target.port}`, bind ?? '', `${headers.length}`],
      ...headers,
      ...Object.entries(answer.answer).flat(),
    ];
    const term = { asOf, expiresIn: expiresAt - clock.wall(), clock };
    memory.keep(command.planIn, tunnel.handle, key, `${slot}|${generation}`, 0, term, pieces, heirs(remote), (begun) =>
      tunnel.begun(begun),
    );
  }

  function close(): void {
    closed = true;
    for (const { tunnel } of connections) for (const stream of tunnel.streams) stream.destroy(streamCut);
    for (const entry of [...open]) entry.cut();
  }

  return {
    serve,
    close,
    drain(deadlineMs) {
      draining = true;
      for (const { tunnel } of connections) tunnel.close();
      return emptying.wait(deadlineMs, close);
    },
  };
}

/** Whose requests are judged alike, as far as the connection tells. */
function peerKey({ peer, remote, local }: Connection): string {
  return `${formatSpiffe(peer)}|${remote.ip}|${formatSocketAddr(local)}`;
}

/** As coarse as the loop's own (native/engine/loop/plan.cc): a second plan for the same would only replace the first. */
function requestKey(headers: HeaderList): string {
  return headers
    .filter((_, i) => headers[i - (i % 2)] !== 'traceparent')
    .join('\n')
    .replace(/:[1-9][0-9]{0,4}"/, '"');
}

function putNewest<V>(map: Map<string, V>, key: string, value: V, most: number): Map<string, V> {
  map.delete(key);
  if (map.size >= most) map.delete(map.keys().next().value!);
  return map.set(key, value);
}
