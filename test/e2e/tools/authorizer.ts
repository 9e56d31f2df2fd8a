/** An authorizer by gRPC, of ext_authz v3, on port 8080: it lets requests with `x-ext-authz: allow` pass, and tells their server what it was asked for. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { envoyMessage } from '../../../common/envoy/protos.ts';

interface CheckRequest {
  readonly attributes: {
    readonly request: { readonly http: { readonly path: string; readonly headers: Readonly<Record<string, string>> } };
  };
}

const request = envoyMessage('envoy.service.auth.v3.CheckRequest')!;
const response = envoyMessage('envoy.service.auth.v3.CheckResponse')!;

function decide({ attributes }: CheckRequest): object {
  const { path, headers } = attributes.request.http;
  const isAllowed = headers['x-ext-authz'] === 'allow';
  const asked = { header: { key: 'x-authorized', value: path } };
  return isAllowed
    ? { status: { code: 0 }, ok_response: { headers: [asked] } }
    : {
        status: { code: 7 },
        denied_response: { status: { code: 403 }, headers: [], body: 'denied by the authorizer' },
      };
}

const server = new Server();
server.addService(
  {
    Check: {
      path: '/envoy.service.auth.v3.Authorization/Check',
      requestStream: false,
      responseStream: false,
      requestSerialize: () => Buffer.alloc(0),
      requestDeserialize: (bytes: Buffer) => request.toObject(request.decode(bytes)) as CheckRequest,
      responseSerialize: (message: object) => Buffer.from(response.encode(response.fromObject(message)).finish()),
      responseDeserialize: () => ({}),
    },
  },
  {
    Check: (call: { request: CheckRequest }, done: (error: null, answer: object) => void) =>
      done(null, decide(call.request)),
  } as never,
);
server.bindAsync('[::]:8080', ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});

process.on('SIGTERM', () => process.exit(0));
