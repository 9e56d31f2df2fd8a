/** One attempt of a network probe. */
import { request as httpsRequest } from 'node:https';
import { connect } from 'node:net';
import { request as httpRequest } from '../../common/core/node-http.ts';
import { attemptGrpc } from './grpc.ts';

export type NetworkProbe =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'grpc'; readonly host: string; readonly port: number; readonly service: string }
  | {
      readonly kind: 'http';
      readonly host: string;
      readonly port: number;
      readonly path: string;
      readonly tls: boolean;
      readonly headers: readonly { readonly name: string; readonly value: string }[];
      /** Answers without this header are another's, who shares the port: it is asked again on another connection. */
      readonly from?: { readonly header: string; readonly value: string } | undefined;
    };

const notFrom = 'all answers were from another process';

/** undefined is success, else what went wrong. `timeout` is milliseconds for the whole attempt. */
export async function attempt(probe: NetworkProbe, timeout: number): Promise<string | undefined> {
  if (probe.kind === 'tcp') return attemptTcp(probe, timeout);
  if (probe.kind === 'grpc') return attemptGrpc(probe, timeout);
  const end = performance.now() + timeout;
  for (;;) {
    const failure = await attemptHttp(probe, Math.max(1, Math.ceil(end - performance.now())));
    if (failure !== notFrom || performance.now() >= end) return failure;
  }
}

function attemptTcp(probe: { host: string; port: number }, timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: probe.host, port: probe.port, signal: AbortSignal.timeout(timeout) });
    const end = (result: string | undefined) => {
      socket.destroy();
      resolve(result);
    };
    socket.on('connect', () => end(undefined));
    socket.on('error', (e) => end(explain(e, timeout)));
  });
}

/** Codes 200 to 399 are success; certificates are not checked, as kubelet does. */
function attemptHttp(probe: Extract<NetworkProbe, { kind: 'http' }>, timeout: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = (probe.tls ? httpsRequest : httpRequest)({
      host: probe.host,
      port: probe.port,
      path: probe.path,
      headers: Object.fromEntries([
        ['user-agent', 'aquifer-lab-probe'],
        ...probe.headers.map((h) => [h.name, h.value]),
      ]),
      agent: false,
      signal: AbortSignal.timeout(timeout),
      ...(probe.tls ? { rejectUnauthorized: false } : {}),
    });
    request.on('response', (response) => {
      response.destroy();
      if (probe.from && response.headers[probe.from.header] !== probe.from.value) return resolve(notFrom);
      const code = response.statusCode ?? 0;
      resolve(code >= 200 && code < 400 ? undefined : `HTTP status ${code}`);
    });
    request.on('error', (e) => resolve(explain(e, timeout)));
    request.end();
  });
}

function explain(e: Error, timeout: number): string {
  return e.name === 'AbortError' || e.name === 'TimeoutError' ? `no answer within ${timeout} ms` : e.message;
}
