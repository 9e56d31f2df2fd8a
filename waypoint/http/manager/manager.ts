/** HttpConnectionManager as the last filter of a chain. */

import type { Millis } from '../../../common/core/brand.ts';
import type { ByteStream } from '../../net/byte-stream.ts';
import { type Look, peek } from '../../net/peek.ts';
import type { Downstream, Served, Terminal } from '../../network/downstream.ts';
import type { Environment } from '../../runtime/environment.ts';
import { HttpStats } from '../../telemetry/http-stats.ts';
import { IstioMeter } from '../../telemetry/istio/meter.ts';
import type { HttpManagerConfig } from './config.ts';
import { HttpConnection } from './connection.ts';

export class HttpManager implements Terminal {
  readonly #env: Environment;
  readonly #config: HttpManagerConfig;
  readonly #stats: HttpStats;
  readonly #meters: readonly IstioMeter[];

  constructor(env: Environment, config: HttpManagerConfig) {
    this.#env = env;
    this.#config = config;
    this.#stats = new HttpStats(env.stats, config.statPrefix);
    this.#meters = config.meters.map((meter) => new IstioMeter(env.series, meter));
  }

  serve(downstream: Downstream, done: () => void): Served {
    const known = this.#version(downstream);
    if (known !== undefined) return this.#connection(downstream, known, done);
    const begin = (second: boolean) => this.#connection(downstream, second, done);
    return new Sniffing(downstream.stream, this.#env, this.#config.timeouts.idle, begin, done);
  }

  #connection(downstream: Downstream, second: boolean, done: () => void): Served {
    return new HttpConnection(this.#env, this.#config, this.#stats, this.#meters, downstream, second, done);
  }

  /** Whether it is HTTP/2; undefined: its first bytes must tell. */
  #version({ tls, facts }: Downstream): boolean | undefined {
    if (this.#config.codec !== 'AUTO') return this.#config.codec === 'HTTP2';
    if (tls?.alpn !== undefined) return tls.alpn === 'h2';
    if (facts.applicationProtocols.includes('h2c')) return true;
    return facts.applicationProtocols.some((p) => p.startsWith('http/1')) ? false : undefined;
  }
}

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** Whether it is HTTP/2. All else is for HTTP/1 to judge and to wait for, from the first byte that tells. */
function inspectPreface(bytes: Buffer): Look<boolean> {
  const length = Math.min(bytes.length, preface.length);
  const alike = bytes.subarray(0, length).equals(preface.subarray(0, length));
  if (alike && length < preface.length) return { kind: 'more' };
  return { kind: 'done', found: alike, consumed: 0 };
}

/** Until the first bytes have told the version. */
class Sniffing implements Served {
  readonly #stream: ByteStream;
  #served: Served | undefined;
  #draining = false;

  constructor(
    stream: ByteStream,
    env: Environment,
    idle: Millis | undefined,
    begin: (second: boolean) => Served,
    done: () => void,
  ) {
    this.#stream = stream;
    void peek(stream, inspectPreface, false, env.clock, idle).then((peeked) => {
      if (peeked.kind !== 'found') {
        stream.destroy();
        done();
        return;
      }
      this.#served = begin(peeked.found);
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
