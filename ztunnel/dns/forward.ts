/**
 * Passes a query on to the name servers, from a socket in the pod's namespace: whatever network policy says about the pod
 * holds for its queries too. UDP stays UDP and TCP stays TCP: a client that gets TC asks again by itself.
 */
import { randomInt } from 'node:crypto';
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { type Fd, millis } from '../../common/core/brand.ts';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, isIpv6, type SocketAddr } from '../../common/core/net.ts';
import { answers } from './message.ts';

export interface ForwarderOptions {
  readonly servers: readonly SocketAddr[];
  /** A bound UDP socket in the pod's namespace, on a random port; closed here. */
  readonly datagram: (family: 4 | 6, signal: AbortSignal) => Promise<UdpSocket>;
  /** Connects TCP from the pod's namespace. */
  readonly connect: (to: SocketAddr, signal: AbortSignal) => Promise<ByteStream>;
  readonly clock: Clock;
}

/** ms after which the next server is asked too; the first may still answer, since one that recurses far takes its time. */
const patience = 1_500;
/** ms for all of them: less than the 5 s after which resolvers ask again. */
const deadline = 4_500;
/** Questions to servers; with fewer servers they are asked again, because datagrams get lost. */
const attempts = 3;
/** Queries of one pod that may wait for an answer. */
const maxInFlight = 256;

export class Forwarder {
  readonly #options: ForwarderOptions;
  #inFlight = 0;

  constructor(options: ForwarderOptions) {
    this.#options = options;
  }

  /** The server's answer, under an id of ours. MeshError CONNECT_FAILED when none answered, DESCRIPTORS_EXHAUSTED when too many wait. */
  async forward(query: Buffer, transport: 'udp' | 'tcp', signal: AbortSignal): Promise<Buffer> {
    if (this.#inFlight >= maxInFlight) {
      throw new MeshError('DESCRIPTORS_EXHAUSTED', `${maxInFlight} DNS queries of this pod wait for an answer`);
    }
    if (this.#options.servers.length === 0) throw new MeshError('CONNECT_FAILED', 'there is no name server to ask');
    this.#inFlight++;
    const over = new AbortController();
    const giveUp = () => over.abort();
    const timer = this.#options.clock.after(millis(deadline), giveUp);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      return await this.#askInTurn(query, transport, over.signal);
    } finally {
      over.abort();
      timer.cancel();
      signal.removeEventListener('abort', giveUp);
      this.#inFlight--;
    }
  }

  /** The first answer counts; a server that fails at once makes room for the next. */
  #askInTurn(query: Buffer, transport: 'udp' | 'tcp', signal: AbortSignal): Promise<Buffer> {
    const { servers, clock } = this.#options;
    return new Promise((resolve, reject) => {
      let started = 0;
      let failed = 0;
      let next: Timer | undefined;
      const start = () => {
        next?.cancel();
        if (signal.aborted || started === attempts) return;
        const server = servers[started++ % servers.length]!;
        next = clock.after(millis(patience), start);
        const ask = transport === 'udp' ? this.#overUdp : this.#overTcp;
        ask.call(this, underNewId(query), server, signal).then(
          (reply) => {
            next?.cancel();
            resolve(reply);
          },
          (cause: unknown) => {
            failed++;
            if (failed === attempts || signal.aborted) {
              next?.cancel();
              reject(new MeshError('CONNECT_FAILED', 'no name server answered', { cause }));
            } else start();
          },
        );
      };
      start();
    });
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
        else socket.send(sent, server.port, server.ip);
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
        const abort = () => reject(timedOut(server));
        signal.addEventListener('abort', abort, { once: true });
        if (signal.aborted) abort();
        else socket.write(framed(sent));
      });
    } finally {
      socket.on('error', () => undefined);
      socket.destroy();
    }
  }
}

/** A forger must guess it for each question (RFC 5452 9.2). */
function underNewId(query: Buffer): Buffer {
  const sent = Buffer.from(query);
  sent.writeUInt16BE(randomInt(0x1_0000), 0);
  return sent;
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

/** Cuts a TCP stream into messages; holds at most one unfinished message, 65,535 bytes. */
export class MessageReader {
  #firstOfLength: number | undefined;
  #body: Buffer | undefined;
  #filled = 0;

  push(chunk: Buffer): readonly Buffer[] {
    const messages: Buffer[] = [];
    for (let at = 0; at < chunk.length; ) {
      if (this.#body) at += this.#fill(this.#body, chunk.subarray(at));
      else this.#readLength(chunk[at++]!);
      if (this.#body && this.#filled === this.#body.length) {
        messages.push(this.#body);
        this.#body = undefined;
      }
    }
    return messages;
  }

  #readLength(byte: number): void {
    if (this.#firstOfLength === undefined) {
      this.#firstOfLength = byte;
      return;
    }
    this.#body = Buffer.alloc(this.#firstOfLength * 256 + byte);
    this.#filled = 0;
    this.#firstOfLength = undefined;
  }

  /** Returns how many bytes it took. */
  #fill(body: Buffer, bytes: Buffer): number {
    const taken = bytes.copy(body, this.#filled);
    this.#filled += taken;
    return taken;
  }
}
