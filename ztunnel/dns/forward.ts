/**
 * Passes a query on to the name servers, from a socket in the pod's namespace: whatever network policy says about the pod
 * holds for its queries too. UDP stays UDP and TCP stays TCP: a client that gets TC asks again by itself.
 */
import { randomInt } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, isIpv6, type SocketAddr } from '../../common/core/net.ts';
import { answers } from './message.ts';

export interface ForwarderOptions {
  readonly servers: readonly SocketAddr[];
  /** A bound UDP socket in the pod's namespace, on a random port; closed here. */
  readonly datagram: (family: 4 | 6, signal: AbortSignal) => Promise<UdpSocket>;
  /** Connects TCP from the pod's namespace. */
  readonly connect: (to: SocketAddr, signal: AbortSignal) => Promise<Socket>;
  readonly clock: Clock;
}

/** ms for one server; then the next one is asked, as glibc does (its default is 5 s). */
const attemptTimeout = 2_000;
/** Queries of one pod that may wait for an answer. */
const maxInFlight = 256;

export class Forwarder {
  readonly #options: ForwarderOptions;
  #inFlight = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** The server's answer with the query's id. MeshError CONNECT_FAILED when none answered, DESCRIPTORS_EXHAUSTED when too many wait. */
  async forward(query: Buffer, transport: 'udp' | 'tcp', signal: AbortSignal): Promise<Buffer> {
    if (this.#inFlight >= maxInFlight) {
      throw new MeshError('DESCRIPTORS_EXHAUSTED', `${maxInFlight} DNS queries of this pod wait for an answer`);
    }
    this.#inFlight++;
    try {
      return await this.#ask(query, transport, signal);
    } finally {
      this.#inFlight--;
    }
  }

  async #ask(query: Buffer, transport: 'udp' | 'tcp', signal: AbortSignal): Promise<Buffer> {
    const sent = Buffer.from(query);
    sent.writeUInt16BE(randomInt(0x1_0000), 0);
    let last: unknown;
    for (const server of this.#options.servers) {
      const deadline = new AbortController();
      const give = () => deadline.abort();
      const timer = this.#options.clock.after(millis(attemptTimeout), give);
      signal.addEventListener('abort', give, { once: true });
      try {
        const ask =
          transport === 'udp'
            ? this.#overUdp(sent, server, deadline.signal)
            : this.#overTcp(sent, server, deadline.signal);
        const reply = await ask;
        reply.writeUInt16BE(query.readUInt16BE(0), 0);
        return reply;
      } catch (e) {
        last = e;
        if (signal.aborted) break;
      } finally {
        timer.cancel();
        signal.removeEventListener('abort', give);
      }
    }
    throw new MeshError('CONNECT_FAILED', 'no name server answered', { cause: last });
  }

  async #overUdp(sent: Buffer, server: SocketAddr, signal: AbortSignal): Promise<Buffer> {
    const socket = await this.#options.datagram(isIpv6(server.ip) ? 6 : 4, signal);
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        socket.on('error', reject);
        socket.on('message', (message, from) => {
          // Anything else is a forgery or a late answer; the right one may still come.
          if (from.address === server.ip && from.port === server.port && answers(sent, message)) resolve(message);
        });
        const abort = () => reject(timedOut(server));
        signal.addEventListener('abort', abort, { once: true });
        if (signal.aborted) abort();
        socket.send(sent, server.port, server.ip);
      });
    } finally {
      socket.close();
    }
  }

  async #overTcp(sent: Buffer, server: SocketAddr, signal: AbortSignal): Promise<Buffer> {
    const socket = await this.#options.connect(server, signal);
    try {
      return await new Promise<Buffer>((resolve, reject) => {
        const messages = new MessageReader();
        socket.on('error', reject);
        socket.on('close', () => reject(new MeshError('CONNECT_FAILED', 'the name server closed the connection')));
        socket.on('data', (chunk: Buffer) => {
          const reply = messages.push(chunk).find((m) => answers(sent, m));
          if (reply) resolve(reply);
        });
        signal.addEventListener('abort', () => reject(timedOut(server)), { once: true });
        socket.write(framed(sent));
      });
    } finally {
      socket.on('error', () => undefined);
      socket.destroy();
    }
  }
}

/** Takes over the descriptor of a bound socket. */
export function adoptDatagram(fd: Fd, family: 4 | 6): Promise<UdpSocket> {
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.bind({ fd }, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

function timedOut(server: SocketAddr): MeshError {
  return new MeshError('CONNECT_TIMEOUT', `name server ${formatSocketAddr(server)} did not answer`);
}

/** A message over TCP has its length before it (RFC 1035 4.2.2). */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length, 0);
  return Buffer.concat([length, message]);
}

/** Cuts a TCP stream into messages; holds at most one unfinished message, 65,537 bytes. */
export class MessageReader {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): readonly Buffer[] {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    const messages: Buffer[] = [];
    while (this.#rest.length >= 2) {
      const end = 2 + this.#rest.readUInt16BE(0);
      if (this.#rest.length < end) break;
      messages.push(this.#rest.subarray(2, end));
      this.#rest = this.#rest.subarray(end);
    }
    return messages;
  }
}
