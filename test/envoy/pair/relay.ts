/**
 * Stands between istiod's xDS and waypoints that share this machine: what istiod binds to port 15008 of every address gets a free port of
 * the loopback. All else passes as it is.
 */
import { Client, credentials, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import {
  deltaAdsService,
  type Encodable,
  type PbDeltaRequest,
  type PbDeltaResponse,
} from '../../../common/api/index.ts';
import { decodeEnvoy, encodeEnvoy } from '../../../common/envoy/codec.ts';
import { connectTerminate } from '../../../istiod/envoy/names.ts';
import { listenerTypeUrl } from '../../../istiod/envoy/types.ts';

export interface Relay extends Disposable {
  readonly port: number;
}

type Stream = ServerDuplexStream<PbDeltaRequest, Encodable<PbDeltaResponse>>;

/** `port`: istiod's, in plain text. */
export async function startRelay(port: number): Promise<Relay> {
  const { DeltaAggregatedResources: method } = deltaAdsService;
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const server = new Server();
  server.addService(deltaAdsService, {
    DeltaAggregatedResources(from: Stream) {
      const to = client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
      from.on('data', (request: PbDeltaRequest) => to.write(request));
      to.on('data', (response: PbDeltaResponse) => from.write(rebound(response)));
      for (const stream of [from, to]) stream.on('error', () => undefined);
      from.on('end', () => to.end());
      from.on('cancelled', () => to.cancel());
      to.on('end', () => from.end());
    },
  });
  const own = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (e, p) => (e ? reject(e) : resolve(p))),
  );
  return {
    port: own,
    [Symbol.dispose]() {
      client.close();
      server.forceShutdown();
    },
  };
}

function rebound(response: PbDeltaResponse): PbDeltaResponse {
  if (response.typeUrl !== listenerTypeUrl) return response;
  const resources = response.resources.map((one) => {
    if (one.name !== connectTerminate || !one.resource) return one;
    const decoded = decodeEnvoy(listenerTypeUrl, one.resource.value);
    if (decoded.kind === 'rejected') throw new Error(decoded.reason);
    const address = { socket_address: { address: '127.0.0.1', port_value: 0 } };
    return { ...one, resource: { ...one.resource, value: encodeEnvoy(Object.assign({}, decoded.value, { address })) } };
  });
  return { ...response, resources };
}
