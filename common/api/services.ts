/** gRPC service definitions for grpc-js, the same object for client and server. */
import type { ServiceDefinition } from '@grpc/grpc-js';
import {
  certificateRequestMessage,
  certificateResponseMessage,
  deltaRequestMessage,
  deltaResponseMessage,
  discoveryRequestMessage,
  discoveryResponseMessage,
  type Encodable,
  type PbCertificateRequest,
  type PbCertificateResponse,
  type PbDeltaRequest,
  type PbDeltaResponse,
  type PbDiscoveryRequest,
  type PbDiscoveryResponse,
  type PbMessage,
} from './messages.ts';

/** What grpc-js wants of a method, with what is sent told apart from what is received. */
export interface Method<Request, Response> {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestSerialize: (value: Encodable<Request>) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Encodable<Response>) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}

function method<Request, Response>(
  path: string,
  stream: boolean,
  request: PbMessage<Request>,
  response: PbMessage<Response>,
): Method<Request, Response> {
  return {
    path,
    requestStream: stream,
    responseStream: stream,
    requestSerialize: request.encode,
    requestDeserialize: request.decode,
    responseSerialize: response.encode,
    responseDeserialize: response.decode,
  };
}

/** Bidirectional stream of delta xDS. */
export const deltaAdsService = {
  DeltaAggregatedResources: method<PbDeltaRequest, PbDeltaResponse>(
    '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources',
    true,
    deltaRequestMessage,
    deltaResponseMessage,
  ),
} satisfies ServiceDefinition;

/** Bidirectional stream of state-of-the-world xDS. */
export const stateAdsService = {
  StreamAggregatedResources: method<PbDiscoveryRequest, PbDiscoveryResponse>(
    '/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources',
    true,
    discoveryRequestMessage,
    discoveryResponseMessage,
  ),
} satisfies ServiceDefinition;

/** Unary CreateCertificate. */
export const certificateService = {
  CreateCertificate: method<PbCertificateRequest, PbCertificateResponse>(
    '/istio.v1.auth.IstioCertificateService/CreateCertificate',
    false,
    certificateRequestMessage,
    certificateResponseMessage,
  ),
} satisfies ServiceDefinition;

/** Largest message either side accepts: 200 MiB (ambient-wire 3.7). */
export const maxMessageBytes = 200 * 1024 * 1024;
