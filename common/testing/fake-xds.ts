/** A delta xDS server in this process, scripted by the test: it says nothing that the test does not say. */
import { type Metadata, Server, ServerCredentials, type ServerDuplexStream, type status } from '@grpc/grpc-js';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  deltaAdsService,
  type Encodable,
  encodeAddress,
  encodeAuthorization,
  type PbDeltaRequest,
  type PbDeltaResponse,
  type PbResource,
} from '../api/index.ts';
import { policyKey, serviceKey } from '../mesh/store.ts';
import type { AuthorizationPolicy, MeshAddress } from '../mesh/types.ts';
import { until } from './until.ts';

type Response = Encodable<PbDeltaResponse>;

/** One client's stream. */
export class FakeXdsStream {
  readonly metadata: Metadata;
  /** All that came, oldest first. */
  readonly requests: PbDeltaRequest[] = [];
  /** The client is gone. */
  closed = false;
  readonly #call: ServerDuplexStream<PbDeltaRequest, Response | Buffer>;
  #read = 0;

  constructor(call: ServerDuplexStream<PbDeltaRequest, Response | Buffer>) {
    this.metadata = call.metadata;
    this.#call = call;
    call.on('data', (request: PbDeltaRequest) => this.requests.push(request));
    call.on('end', () => call.end());
    call.on('error', () => undefined);
    call.on('cancelled', () => {
      this.closed = true;
    });
  }

  /** The next request that was not asked for yet. */
  async next(): Promise<PbDeltaRequest> {
    const request = await until('a request on the xDS stream', () => this.requests[this.#read]);
    this.#read++;
    return request;
  }

  send(response: Response): void {
    this.#call.write(response);
  }

  /** A gRPC message with any bytes in place of the response. */
  sendRaw(bytes: Uint8Array): void {
    this.#call.write(Buffer.from(bytes));
  }

  end(): void {
    this.#call.end();
  }

  fail(code: status, details: string): void {
    this.#call.emit('error', { code, details });
  }
}

export class FakeXds {
  readonly streams: readonly FakeXdsStream[];
  readonly #server: Server;
  readonly port: number;
  #taken = 0;

  private constructor(server: Server, port: number, streams: readonly FakeXdsStream[]) {
    this.#server = server;
    this.port = port;
    this.streams = streams;
  }

  /** Plain text on 127.0.0.1; port 0 lets the kernel choose, another one stands in for a server that died. */
  static async start(port = 0, credentials = ServerCredentials.createInsecure()): Promise<FakeXds> {
    const server = new Server();
    const method = deltaAdsService.DeltaAggregatedResources;
    const streams: FakeXdsStream[] = [];
    server.addService(
      {
        DeltaAggregatedResources: {
          ...method,
          responseSerialize: (r: Response | Buffer) => (Buffer.isBuffer(r) ? r : method.responseSerialize(r)),
        },
      },
      {
        DeltaAggregatedResources: (call: ServerDuplexStream<PbDeltaRequest, Response | Buffer>) =>
          void streams.push(new FakeXdsStream(call)),
      },
    );
    const bound = await new Promise<number>((resolve, reject) =>
      server.bindAsync(`127.0.0.1:${port}`, credentials, (e, p) => (e ? reject(e) : resolve(p))),
    );
    return new FakeXds(server, bound, streams);
  }

  get address(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The next stream that was not asked for yet. */
  async stream(): Promise<FakeXdsStream> {
    const stream = await until('an xDS stream', () => this.streams[this.#taken]);
    this.#taken++;
    return stream;
  }

  /** Cuts all connections, as a process that dies. */
  kill(): void {
    this.#server.forceShutdown();
  }
}

export function addressResponse(
  nonce: string,
  addresses: readonly MeshAddress[],
  removedResources: readonly string[] = [],
): Response {
  const resources = addresses.map((a) =>
    resource(a.kind === 'workload' ? a.uid : serviceKey(a), addressTypeUrl, encodeAddress(a), `v-${nonce}`),
  );
  return { typeUrl: addressTypeUrl, nonce, resources, removedResources };
}

export function policyResponse(
  nonce: string,
  policies: readonly AuthorizationPolicy[],
  removedResources: readonly string[] = [],
): Response {
  const resources = policies.map((p) => resource(policyKey(p), authorizationTypeUrl, encodeAuthorization(p), ''));
  return { typeUrl: authorizationTypeUrl, nonce, resources, removedResources };
}

export function resource(name: string, typeUrl: string, value: Uint8Array, version: string): Encodable<PbResource> {
  return { name, version, resource: { type_url: typeUrl, value } };
}
