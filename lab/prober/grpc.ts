/** A probe by gRPC's own health protocol (grpc.health.v1.Health/Check), in plain text. */
import { connect, constants } from 'node:http2';

export interface GrpcProbe {
  readonly host: string;
  readonly port: number;
  /** Empty: the whole server. */
  readonly service: string;
}

/** HealthCheckResponse.ServingStatus. */
const statusNames = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
const serving = 1;
/** Bytes before each message: whether it is compressed, and its length. */
const prefixLength = 5;
const longestAnswer = 4096;

/** undefined is success, else what went wrong. `timeout` is milliseconds. */
export function attemptGrpc({ host, port, service }: GrpcProbe, timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
    const session = connect(`http://${authority}`);
    const timer = setTimeout(() => end(`no answer within ${timeout} ms`), timeout);
    const end = (result: string | undefined) => {
      clearTimeout(timer);
      session.destroy();
      resolve(result);
    };
    session.on('error', (e) => end(e.message));
    const stream = session.request({
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let answer = Buffer.alloc(0);
    let code: unknown;
    stream.on('response', (headers) => {
      // An answer without a message has its status here.
      code = headers['grpc-status'];
    });
    stream.on('trailers', (trailers) => {
      code = trailers['grpc-status'];
    });
    stream.on('data', (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length > longestAnswer) end('the answer is too long for a health check');
    });
    stream.on('error', (e) => end(e.message));
    stream.on('end', () => {
      if (String(code) !== '0') return end(`grpc-status ${String(code ?? 'missing')}`);
      const status = servingStatus(answer);
      end(status === serving ? undefined : `service unhealthy (responded with "${statusNames[status] ?? status}")`);
    });
    stream.end(healthRequest(service));
  });
}

/** HealthCheckRequest: field 1, the service's name. */
function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message = name.length === 0 ? name : Buffer.concat([Buffer.of(0x0a), varint(name.length), name]);
  const prefix = Buffer.alloc(prefixLength);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function varint(n: number): Buffer {
  return n < 0x80 ? Buffer.of(n) : Buffer.of((n & 0x7f) | 0x80, n >> 7);
}

/** HealthCheckResponse: field 1, a number below 128; absent means 0. */
export function servingStatus(answer: Buffer): number {
  const message = answer.subarray(prefixLength);
  return message[0] === 0x08 ? (message[1] ?? 0) : 0;
}
