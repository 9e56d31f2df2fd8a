/**
 * Envoy's ADS stream, carried on to istiod byte for byte. Envoy cannot keep up with a token and roots that change on disk over one
 * stream's life; here each new stream reads both again. A stream that ends, ends on both sides: Envoy tries again by its own back-off.
 */
import {
  Client,
  type ClientDuplexStream,
  type ServerDuplexStream,
  type ServiceDefinition,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { type ControlPlane, controlPlaneConnection } from '../../common/xds/connect.ts';
import { bytes, rawStream } from './raw-stream.ts';

type Down = ServerDuplexStream<Buffer, Buffer>;
type Up = ClientDuplexStream<Buffer, Buffer>;

const service = '/envoy.service.discovery.v3.AggregatedDiscoveryService';

export const adsService = {
  DeltaAggregatedResources: rawStream(`${service}/DeltaAggregatedResources`),
  StreamAggregatedResources: rawStream(`${service}/StreamAggregatedResources`),
} satisfies ServiceDefinition;

export class XdsProxy {
  readonly #plane: ControlPlane;
  readonly #log: Logger;
  #streams = 0;
  #failure: string | undefined = 'Envoy has not connected yet';

  constructor(plane: ControlPlane, log: Logger) {
    this.#plane = plane;
    this.#log = log;
  }

  /** Streams to istiod so far. */
  get streams(): number {
    return this.#streams;
  }

  /** Why istiod is not reached; undefined while a stream stands. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get handlers(): UntypedServiceImplementation {
    return Object.fromEntries(
      Object.entries(adsService).map(([name, { path }]) => [name, (down: Down) => void this.#carry(path, down)]),
    );
  }

  async #carry(path: string, down: Down): Promise<void> {
    let gone = false;
    down.on('cancelled', () => {
      gone = true;
    });
    let client: Client;
    let up: Up;
    try {
      const { target, credentials, options, metadata } = await controlPlaneConnection(this.#plane);
      if (gone) return;
      client = new Client(target, credentials, options);
      up = client.makeBidiStreamRequest(path, bytes, bytes, metadata);
    } catch (e) {
      this.#ended(down, { code: status.UNAVAILABLE, details: describeError(e) });
      return;
    }
    this.#streams++;
    down.on('cancelled', () => up.cancel());
    up.once('data', () => {
      this.#failure = undefined;
    });
    copy(down, up);
    copy(up, down);
    down.on('end', () => up.end());
    up.on('error', () => undefined);
    up.on('status', ({ code, details }: ServiceError) => {
      client.close();
      if (!gone) this.#ended(down, { code, details });
    });
  }

  #ended(down: Down, { code, details }: { readonly code: status; readonly details: string }): void {
    const { address } = this.#plane;
    if (code === status.OK) {
      this.#log.info('istiod ended the xDS stream', { address });
      down.end();
      return;
    }
    this.#failure = `${status[code]}: ${details}`;
    this.#log.warn('the xDS stream to istiod broke', { address, error: this.#failure });
    down.emit('error', { code, details });
  }
}

/** Reads no faster than the other side takes. */
function copy(from: Down | Up, to: Down | Up): void {
  from.on('data', (message: Buffer) => {
    if (!to.write(message)) from.pause();
  });
  to.on('drain', () => from.resume());
}
