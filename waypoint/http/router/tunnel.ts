/** The end of a CONNECT: its payload goes to the host as the bytes of a connection. */
import type { Lease } from '../../cluster/pool-types.ts';
import type { ByteReader, ByteStream } from '../../net/byte-stream.ts';
import type { UpstreamConnection } from '../../upstream/connector.ts';
import type { HeaderList } from '../message.ts';
import type { AttemptEvents } from './attempt.ts';

export class Tunnel implements ByteReader {
  readonly #lease: Lease<UpstreamConnection>;
  readonly #events: AttemptEvents;
  readonly #stream: ByteStream;
  #gone = false;
  #ended = false;

  constructor(lease: Lease<UpstreamConnection>, events: AttemptEvents) {
    this.#lease = lease;
    this.#events = events;
    if (lease.codec.kind !== 'tcp') throw new Error('a connection for requests was given for a tunnel');
    this.#stream = lease.codec.stream;
  }

  readonly protocol = 'tcp';

  /** The client is told that the tunnel stands. */
  open(): void {
    this.#events.response({ status: 200, headers: [] }, false);
    this.#stream.attach(this);
  }

  bytes(chunk: Buffer): void {
    if (!this.#gone) this.#events.data(chunk);
  }

  ended(): void {
    this.#ended = true;
    if (!this.#gone) this.#events.end(undefined);
  }

  closed(error: Error | undefined): void {
    if (!this.#release() || this.#ended) return;
    if (error) this.#events.broke({ kind: 'reset', detail: error.message });
    else this.#events.end(undefined);
  }

  drained(): void {
    if (!this.#gone) this.#events.drained();
  }

  write(chunk: Buffer): boolean {
    return this.#gone || this.#stream.write(chunk);
  }

  finish(_trailers: HeaderList | undefined): void {
    this.#stream.end();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  reset(): void {
    if (this.#release()) this.#stream.destroy(new Error('the tunnel was reset'));
  }

  #release(): boolean {
    if (this.#gone) return false;
    this.#gone = true;
    this.#lease.release(false);
    return true;
  }
}
