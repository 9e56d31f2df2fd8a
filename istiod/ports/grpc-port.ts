/** A port for gRPC. It owns its sockets, so that it can bound strangers and cut a peer that reads nothing. */
import { createServer, type Socket } from 'node:net';
import {
  type Server as GrpcServer,
  ResponderBuilder,
  Server,
  type ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  status,
} from '@grpc/grpc-js';
import { maxMessageBytes } from '../../common/api/index.ts';
import type { ListenAddress } from '../../common/config/listen-address.ts';
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import { frameOf } from './frame.ts';
import { defaultKeepalive, type Keepalive } from './keepalive.ts';
import { listenAt } from './listen.ts';
import { type StrangerLimits, Strangers, strangerLimits } from './strangers.ts';

export interface GrpcPortOptions {
  readonly at: ListenAddress;
  readonly credentials: ServerCredentials;
  /** For messages about the address. */
  readonly flag: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** After it a client is asked to connect anew, a tenth sooner or later; undefined: never. */
  readonly maxAge: Millis | undefined;
  /** Default `defaultKeepalive`. */
  readonly keepalive?: Keepalive;
  readonly limits?: StrangerLimits;
  /** Adds the services. Calls are served from then on. */
  readonly services: (server: GrpcServer, port: PeerControl) => void;
}

export interface PeerControl {
  admitted(peer: string): void;
  refused(peer: string): void;
  cut(peer: string): void;
}

export interface GrpcPort {
  readonly port: number;
  /** Connections at this moment. */
  readonly connections: number;
  close(): void;
}

/** Largest request: retained versions of some 100,000 resources. */
const largestRequest = 16 * 1024 * 1024;
/** Ms that a client has to go after it was asked to connect anew. */
const ageGrace = 10_000;
/** Of one connection: a node proxy has one of xDS, and some certificates at a time. */
const mostStreams = 100;
/** MiB of one connection; beyond it no further stream is taken. */
const sessionMemory = 32;
/** Ms of setting up connections before others have a turn. */
const longestTurn = 5;
/** Ms for a refusal to reach a peer that is then cut. */
const lastWords = millis(200);

/** Resolves when it listens. MeshError CONFIG. */
export async function openGrpcPort(options: GrpcPortOptions): Promise<GrpcPort> {
  const { at, credentials, flag, clock, log, maxAge, keepalive = defaultKeepalive } = options;
  const sockets = new Map<string, Socket>();
  const strangers = new Strangers(options.limits ?? strangerLimits, clock, (peer, reason) =>
    log.warn('connection closed', { peer, reason }),
  );
  const peers: PeerControl = {
    admitted: (peer) => strangers.leave(peer),
    refused: (peer) => void clock.after(lastWords, () => strangers.refused(peer)),
    cut: (peer) => sockets.get(peer)?.destroy(),
  };
  const server = new Server({
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.max_receive_message_length': largestRequest,
    'grpc.max_concurrent_streams': mostStreams,
    'grpc-node.max_session_memory': sessionMemory,
    // Records of each connection and call, which nobody reads.
    'grpc.enable_channelz': 0,
    'grpc.keepalive_time_ms': keepalive.interval,
    'grpc.keepalive_timeout_ms': keepalive.timeout,
    ...(maxAge === undefined
      ? {}
      : { 'grpc.max_connection_age_ms': maxAge, 'grpc.max_connection_age_grace_ms': ageGrace }),
    interceptors: [interceptor(peers)],
  });
  options.services(server, peers);
  const injector = server.createConnectionInjector(credentials);
  // A session takes half a millisecond to set up: fifty that come together would have nobody else served meanwhile.
  const waiting: Socket[] = [];
  const takeIn = () => {
    const began = performance.now();
    while (waiting.length > 0 && performance.now() - began < longestTurn) {
      const socket = waiting.shift()!;
      if (!socket.destroyed) injector.injectConnection(socket);
    }
    if (waiting.length > 0) setImmediate(takeIn);
  };
  const listener = createServer({ noDelay: true }, (socket) => {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const peer = `${remoteAddress}:${remotePort}`;
    sockets.set(peer, socket);
    strangers.enter(peer, remoteAddress, socket);
    socket.on('error', (e) => log.debug('connection failed', { peer, error: e.message }));
    socket.on('close', () => {
      strangers.leave(peer);
      if (sockets.get(peer) === socket) sockets.delete(peer);
    });
    waiting.push(socket);
    if (waiting.length === 1) setImmediate(takeIn);
  });
  const port = await listenAt(listener, at, flag);
  return {
    port,
    get connections() {
      return sockets.size;
    },
    close() {
      listener.close();
      server.forceShutdown();
      for (const socket of sockets.values()) socket.destroy();
    },
  };
}

/** By how calls end: one that was let in admits its peer. */
function interceptor(peers: PeerControl): ServerInterceptor {
  return (_method, call) => {
    sendFrames(call);
    const responder = new ResponderBuilder()
      .withSendStatus((s, next) => {
        if (s.code === status.UNAUTHENTICATED) peers.refused(call.getPeer());
        else if (s.code === status.OK) peers.admitted(call.getPeer());
        next(s);
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}

/** What is a frame already is sent as it is. The only way to it is a method that grpc-js does not announce; without it there are copies. */
function sendFrames(call: object): void {
  const own = call as { serializeMessage?: (message: unknown) => Buffer };
  const serialize = own.serializeMessage?.bind(call);
  if (serialize === undefined) return;
  own.serializeMessage = (message) => (Buffer.isBuffer(message) && frameOf(message)) || serialize(message);
}
