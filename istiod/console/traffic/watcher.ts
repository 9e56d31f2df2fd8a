/** Reads the proxies' metrics while somebody looks at the console. */
import { millis } from '../../../common/core/brand.ts';
import type { Clock } from '../../../common/core/clock.ts';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { request } from '../../../common/core/node-http.ts';
import { readSamples } from './exposition.ts';
import { counters, type Flow, flowsOf, type Reading, readingOf } from './flows.ts';
import { type RequestFlow, type Requests, requestCounters, requestFlowsOf, requestsOf } from './requests.ts';

export interface TrafficOptions {
  /** Addresses of the proxies that are connected: from there their streams came, so nobody can name another's. */
  readonly proxies: () => Iterable<string>;
  readonly port: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Traffic {
  readonly flows: readonly Flow[];
  /** What waypoints answered, by the host name of the service. */
  readonly requests: ReadonlyMap<string, RequestFlow>;
  /** That did not answer. */
  readonly silent: number;
}

/** Ms: who looks more often sees the same. */
const interval = 5_000;
/** For one proxy's answer. */
const patience = millis(3_000);
/** Bytes of one proxy's answer. */
const maxBytes = 32 * 1024 * 1024;
/** Proxies that are read at once. */
const width = 8;

export class TrafficWatcher {
  readonly #options: TrafficOptions;
  #before:
    | { readonly reading: Reading; readonly requests: ReadonlyMap<string, Requests>; readonly at: number }
    | undefined;
  #last: { readonly traffic: Traffic; readonly at: number } | undefined;
  #reading: Promise<Traffic> | undefined;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  /** Never rejects: proxies that do not answer are counted. */
  look(): Promise<Traffic> {
    const now = this.#options.clock.now();
    if (this.#last !== undefined && now - this.#last.at < interval) return Promise.resolve(this.#last.traffic);
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<Traffic> {
    const { proxies, port, clock, log } = this.#options;
    const queue = [...new Set(proxies())];
    const texts: string[] = [];
    let silent = 0;
    const next = async () => {
      for (let address = queue.pop(); address !== undefined; address = queue.pop()) {
        try {
          texts.push(await fetchText(address, port, clock));
        } catch (e) {
          silent++;
          log.debug('a proxy does not tell its metrics', { address, port, error: describeError(e) });
        }
      }
    };
    await Promise.all(Array.from({ length: width }, next));
    const at = clock.now();
    const reading = readingOf(texts.map((text) => readSamples(text, counters)));
    const requests = requestsOf(texts.map((text) => readSamples(text, requestCounters)));
    const seconds = (at - (this.#before?.at ?? at)) / 1000;
    const traffic = {
      flows: flowsOf(reading, this.#before?.reading, seconds),
      requests: requestFlowsOf(requests, this.#before?.requests, seconds),
      silent,
    };
    this.#before = { reading, requests, at };
    this.#last = { traffic, at };
    return traffic;
  }
}

function fetchText(host: string, port: number, clock: Clock): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path: '/metrics' }, (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        parts.push(part);
        size += part.length;
        if (size > maxBytes) call.destroy(new Error(`more than ${maxBytes} bytes of metrics`));
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(Buffer.concat(parts).toString());
        else reject(new Error(`answered with ${response.statusCode}`));
      });
      response.on('error', reject);
    });
    const timer = clock.after(patience, () => call.destroy(new Error(`no answer within ${patience} ms`)));
    call.on('close', () => timer.cancel());
    call.on('error', reject);
    call.end();
  });
}
