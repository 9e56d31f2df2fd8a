/** A delta ADS stream that is opened again after every end, whoever subscribes to whatever on it. */
import { Client, type ClientDuplexStream, connectivityState, type StatusObject } from '@grpc/grpc-js';
import { deltaAdsService, type Encodable, type PbDeltaRequest, type PbDeltaResponse } from '../api/index.ts';
import { type Millis, millis } from '../core/brand.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { describeError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';
import { classify, nextDelay, type Termination } from './backoff.ts';
import type { Connection } from './connect.ts';

export type DeltaStream = ClientDuplexStream<Encodable<PbDeltaRequest>, PbDeltaResponse>;

export interface DeltaStreamOptions {
  /** Asked for each connection, so that rotated tokens and roots are used. A rejection counts as a failed connection. */
  readonly connect: () => Promise<Connection>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Ends the stream for good. */
  readonly signal: AbortSignal;
}

export interface DeltaStreamHandlers {
  /** To write the first requests. */
  readonly opened: (stream: DeltaStream) => void;
  readonly response: (stream: DeltaStream, response: PbDeltaResponse) => void;
  /** Once after each `opened`. */
  readonly closed: () => void;
  /** A connection ended, opened or not, and another one follows. */
  readonly terminated?: (reason: Termination['reason']) => void;
}

/** Connecting to istiod may take this long. */
const connectTimeout = millis(5_000);

interface Outcome {
  readonly end: Termination;
  /** Some response arrived. */
  readonly delivered: boolean;
}

function failed(detail: string): Outcome {
  return { end: { reason: 'ConnectionError', detail }, delivered: false };
}

/** Connects at once, and again after every end: 10 ms doubling to 15 s. Resolves when the signal aborts. */
export async function keepDeltaStream(options: DeltaStreamOptions, handlers: DeltaStreamHandlers): Promise<void> {
  const { clock, log, signal } = options;
  let delay: Millis | undefined;
  while (!signal.aborted) {
    const { end, delivered } = await connectOnce(options, handlers);
    if (signal.aborted) return;
    handlers.terminated?.(end.reason);
    delay = nextDelay(delay, end, delivered);
    log.warn('connection to the control plane ended', { reason: end.reason, detail: end.detail, retry_ms: delay });
    await sleep(clock, delay, signal);
  }
}

/** Runs one connection to its end. Never rejects. */
async function connectOnce(options: DeltaStreamOptions, handlers: DeltaStreamHandlers): Promise<Outcome> {
  let connection: Connection;
  try {
    connection = await options.connect();
  } catch (e) {
    return failed(describeError(e));
  }
  if (options.signal.aborted) return failed('the client was closed');
  const client = new Client(connection.target, connection.credentials, connection.options);
  try {
    return await runStream(client, connection, options, handlers);
  } finally {
    client.close();
  }
}

function runStream(
  client: Client,
  connection: Connection,
  { clock, signal, log }: DeltaStreamOptions,
  handlers: DeltaStreamHandlers,
): Promise<Outcome> {
  const method = deltaAdsService.DeltaAggregatedResources;
  const stream = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    connection.metadata,
  );
  return new Promise((resolve) => {
    let connected = false;
    let delivered = false;
    let timedOut = false;
    const timer = clock.after(connectTimeout, () => {
      timedOut = client.getChannel().getConnectivityState(false) !== connectivityState.READY;
      if (timedOut) stream.cancel();
    });
    const cancel = () => stream.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    stream.on('metadata', () => {
      connected = true;
      log.info('connected to the control plane', { address: connection.target });
    });
    stream.on('data', (response: PbDeltaResponse) => {
      delivered = true;
      handlers.response(stream, response);
    });
    // The status event tells the same with its code, and always comes.
    stream.on('error', () => undefined);
    stream.on('status', (s: StatusObject) => {
      timer.cancel();
      handlers.closed();
      signal.removeEventListener('abort', cancel);
      if (timedOut) resolve(failed(`${connection.target} did not answer within ${connectTimeout} ms`));
      else resolve({ end: classify(s.code, s.details, connected), delivered });
    });
    handlers.opened(stream);
  });
}
