/** HttpConnectionManager as the last filter of a chain. */

import { inspectHttp } from '../../listener/http-inspector.ts';
import type { ByteStream } from '../../net/byte-stream.ts';
import { peek } from '../../net/peek.ts';
import type { Downstream, Served, Terminal } from '../../network/downstream.ts';
import type { Environment } from '../../runtime/environment.ts';
import { HttpStats } from '../../telemetry/http-stats.ts';
import type { HttpManagerConfig } from './config.ts';
import { HttpConnection } from './connection.ts';

export class HttpManager implements Terminal {
  readonly #env: Environment;
  readonly #config: HttpManagerConfig;
  readonly #stats: HttpStats;

  constructor(env: Environment, config: HttpManagerConfig) {
    this.#env = env;
    this.#config = config;
    this.#stats = new HttpStats(env.stats, config.statPrefix);
  }

  serve(downstream: Downstream, done: () => void): Served {
    const known = this.#version(downstream);
    if (known !== undefined) return this.#connection(downstream, known, done);
    return new Sniffing(downstream.stream, this.#env, (second) => this.#connection(downstream, second, done), done);
  }

  #connection(downstream: Downstream, second: boolean, done: () => void): Served {
    return new HttpConnection(this.#env, this.#config, this.#stats, downstream, second, done);
  }

  /** Whether it is HTTP/2; undefined: its first bytes must tell. */
  #version({ tls, facts }: Downstream): boolean | undefined {
    if (this.#config.codec !== 'AUTO') return this.#config.codec === 'HTTP2';
    if (tls?.alpn !== undefined) return tls.alpn === 'h2';
    if (facts.applicationProtocols.includes('h2c')) return true;
    return facts.applicationProtocols.some((p) => p.startsWith('http/1')) ? false : undefined;
  }
}

/** Until the first bytes have told the version. */
class Sniffing implements Served {
  readonly #stream: ByteStream;
  #served: Served | undefined;
  #draining = false;

  constructor(stream: ByteStream, env: Environment, begin: (second: boolean) => Served, done: () => void) {
    this.#stream = stream;
    // What is no HTTP at all is told so by HTTP/1.
    void peek(stream, inspectHttp, 'other', env.clock, undefined).then((peeked) => {
      if (peeked.kind !== 'found') {
        stream.destroy();
        done();
        return;
      }
      this.#served = begin(peeked.found === 'h2c');
      if (this.#draining) this.#served.drain();
    });
  }

  drain(): void {
    this.#draining = true;
    this.#served?.drain();
  }

  cut(error: Error): void {
    if (this.#served) this.#served.cut(error);
    else this.#stream.destroy(error);
  }
}
