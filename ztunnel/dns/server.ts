/** DNS over UDP and TCP on listeners that the supervisor made in the pod. */
import { createSocket } from 'node:dgram';
import { type Fd, millis } from '../../common/core/brand.ts';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { Logger } from '../../common/core/log.ts';
import { isIpv6, type SocketAddr } from '../../common/core/net.ts';
import { type Accepted, acceptFrom, refuse } from '../proxy/accept.ts';
import type { DnsAnswerer } from './answer.ts';
import { framed, MessageReader } from './forward.ts';

/** TCP clients of one pod at a time. */
const maxTcpClients = 64;
/** Queries of one TCP client that may be open; more wait (RFC 7766 6.2.1.1 allows pipelining). */
const maxPipelined = 32;
/** ms without a whole query or an answer after which a TCP client is let go (RFC 7766 6.2.3 asks for seconds). */
const idleTimeout = 10_000;

export interface DnsServerOptions {
  readonly answerer: DnsAnswerer;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a TCP client that was accepted may stay; counts and logs one that may not. */
  readonly admits: (accepted: Accepted) => boolean;
}

export interface DnsServer {
  /** Resolves when no query waits for its answer. */
  answered(): Promise<void>;
  /** Gives up what is being asked. */
  stop(): void;
}

/** Queries that wait for their answers. */
class Open {
  #count = 0;
  readonly #waiting = new Set<() => void>();

  async during(answer: Promise<void>): Promise<void> {
    this.#count++;
    await answer;
    this.#count--;
    if (this.#count > 0) return;
    for (const done of this.#waiting) done();
    this.#waiting.clear();
  }

  none(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => void this.#waiting.add(resolve));
  }
}

/** Takes the descriptor over. */
export function serveDnsUdp(fd: Fd, listen: SocketAddr, { answerer, log }: DnsServerOptions): DnsServer {
  const stopped = new AbortController();
  const open = new Open();
  const socket = createSocket(isIpv6(listen.ip) ? 'udp6' : 'udp4');
  socket.on('error', (e) => log.warn('dns socket', { error: e.message }));
  socket.on('message', (bytes, from) => {
    const answered = answerer.answer(bytes, 'udp', stopped.signal).then((reply) => {
      if (reply && !stopped.signal.aborted) socket.send(reply, from.port, from.address);
    });
    void open.during(answered);
  });
  socket.bind({ fd });
  return {
    answered: () => open.none(),
    stop() {
      stopped.abort();
      socket.close();
    },
  };
}

/** Takes the descriptor over. */
export function serveDnsTcp(fd: Fd, options: DnsServerOptions): DnsServer {
  const stopped = new AbortController();
  const open = new Open();
  const clients = new Set<ByteStream>();
  const server = acceptFrom(fd, (accepted) => {
    const { socket } = accepted;
    if (clients.size >= maxTcpClients || !options.admits(accepted)) {
      refuse(socket);
      return;
    }
    clients.add(socket);
    socket.once('close', () => clients.delete(socket));
    serveClient(socket, options, open, stopped.signal);
  });
  server.on('error', (e) => options.log.warn('dns listener', { error: e.message }));
  return {
    answered: () => open.none(),
    stop() {
      stopped.abort();
      server.close();
      for (const socket of clients) socket.destroy();
    },
  };
}

function serveClient(socket: ByteStream, options: DnsServerOptions, all: Open, signal: AbortSignal): void {
  const { clock } = options;
  const reader = new MessageReader();
  const waiting: Buffer[] = [];
  let open = 0;
  let ended = false;
  let idle = clock.after(millis(idleTimeout), () => socket.destroy());
  const rearm = () => {
    idle.cancel();
    idle = clock.after(millis(idleTimeout), () => socket.destroy());
  };
  /** Answers what waits, as long as the client also takes the answers. */
  const proceed = () => {
    while (waiting.length > 0 && open < maxPipelined && !socket.writableNeedDrain) answer(waiting.shift()!);
    if (ended && open === 0 && waiting.length === 0) socket.end();
    else if (waiting.length === 0) socket.resume();
    else socket.pause();
  };
  const answer = (message: Buffer) => {
    open++;
    const answered = options.answerer.answer(message, 'tcp', signal).then((reply) => {
      open--;
      if (socket.destroyed) return;
      // A message that is not even a header: who knows where the next one begins.
      if (!reply) return void socket.destroy();
      socket.write(framed(reply));
      rearm();
      proceed();
    });
    void all.during(answered);
  };
  socket.on('error', () => undefined);
  socket.on('close', () => idle.cancel());
  socket.on('drain', proceed);
  socket.on('end', () => {
    ended = true;
    proceed();
  });
  socket.on('data', (chunk: Buffer) => {
    const messages = reader.push(chunk);
    // Only whole messages count: a client that sends byte by byte would hold its place for ever.
    if (messages.length > 0) rearm();
    waiting.push(...messages);
    proceed();
  });
  socket.resume();
}
