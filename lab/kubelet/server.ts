/** The kubelet's endpoint of a node: what an API server asks (common/kube/kubelet/requests.ts), over TLS to this API server alone. */
import { createHash, X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, ListenOptions } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { TLSSocket } from 'node:tls';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { openChannels } from '../../common/kube/kubelet/channels.ts';
import { apiServerName, channelsProtocol, parseRequest } from '../../common/kube/kubelet/requests.ts';
import type { ContainerRuntime } from './runtime.ts';

export interface KubeletServerOptions {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  /** PEM: the CA of the API server. */
  readonly clientCa: string;
  readonly listen: ListenOptions | { readonly fd: number };
  readonly runtime: ContainerRuntime;
  readonly log: Logger;
}

export interface KubeletServer {
  readonly address: AddressInfo;
  /** For the annotation of the Node. */
  readonly fingerprint: string;
  stop(): Promise<void>;
}

export async function startKubeletServer(o: KubeletServerOptions): Promise<KubeletServer> {
  const server = createServer({
    key: o.key,
    cert: o.certificate,
    ca: o.clientCa,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  });
  server.on('request', (request, response) => void answer(o, request, response));
  server.on('upgrade', (request, socket, head) => void upgrade(o, request, socket, head));
  server.on('tlsClientError', (e) => o.log.debug('a connection to the kubelet failed', { error: e.message }));
  await listen(server, o.listen);
  const der = new X509Certificate(o.certificate).raw;
  return {
    address: server.address() as AddressInfo,
    fingerprint: createHash('sha256').update(der).digest('hex'),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listen(server: Server, options: KubeletServerOptions['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (e) => reject(new MeshError('CONFIG', `the kubelet cannot listen: ${e.message}`)));
    server.listen(options, () => resolve());
  });
}

/** Of the cluster's CA and in the API server's name. */
function isApiServer(socket: TLSSocket): boolean {
  if (!socket.authorized) return false;
  return socket.getPeerX509Certificate()?.checkHost(apiServerName, { subject: 'never' }) !== undefined;
}

async function answer(o: KubeletServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const over = new AbortController();
  response.on('close', () => over.abort());
  try {
    const asked = allowed(request);
    if (asked.kind !== 'logs') throw new Refusal(400, 'BadRequest', 'Upgrade request required');
    const chunks = await o.runtime.logs(asked, over.signal);
    response.writeHead(200, { 'content-type': 'text/plain' });
    response.flushHeaders();
    await pipeline(chunks, response);
  } catch (e) {
    if (response.headersSent) {
      o.log.debug('a log was cut', { error: describeError(e) });
      response.destroy();
      return;
    }
    const { code, body } = statusOf(e);
    response.writeHead(code, { 'content-type': 'application/json' }).end(body);
  }
}

async function upgrade(o: KubeletServerOptions, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  const over = new AbortController();
  let began = false;
  socket.on('error', () => undefined);
  socket.on('close', () => over.abort());
  try {
    const asked = allowed(request);
    if (asked.kind === 'logs') throw new Refusal(400, 'BadRequest', 'logs need no upgraded connection');
    if (request.headers.upgrade !== channelsProtocol) {
      throw new Refusal(400, 'BadRequest', `Upgrade must be ${channelsProtocol}`);
    }
    if (head.length > 0) socket.unshift(head);
    const switched = () => {
      began = true;
      const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', `Upgrade: ${channelsProtocol}`];
      socket.write(`${lines.join('\r\n')}\r\n\r\n`);
      return openChannels(socket);
    };
    if (asked.kind === 'dial') {
      const connection = await o.runtime.dial(asked, over.signal);
      over.signal.addEventListener('abort', () => connection.destroy(), { once: true });
      const { stdin, stdout } = switched();
      await Promise.all([pipeline(stdin, connection), pipeline(connection, stdout)]);
      socket.end();
      return;
    }
    const run = asked.kind === 'exec' ? await o.runtime.exec(asked) : await o.runtime.attach(asked);
    const channels = switched();
    const status = await run(channels, over.signal);
    await pipeline([Buffer.from(JSON.stringify(status))], channels.status);
    socket.end();
  } catch (e) {
    if (over.signal.aborted || began) {
      o.log.debug('a stream was cut', { error: describeError(e) });
      socket.destroy();
      return;
    }
    const { code, body } = statusOf(e);
    socket.end(
      `HTTP/1.1 ${code} Refused\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
    );
  }
}

function allowed(request: IncomingMessage) {
  if (!isApiServer(request.socket as TLSSocket)) {
    throw new Refusal(
      401,
      'Unauthorized',
      'the kubelet answers the API server alone, which shows a certificate of its CA',
    );
  }
  const asked = parseRequest(request.url ?? '/');
  if (asked === undefined) throw new Refusal(404, 'NotFound', 'a kubelet has no such path');
  return asked;
}

/** Told to the user in these words. */
export class Refusal extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

function statusOf(e: unknown): { readonly code: number; readonly body: string } {
  const [code, reason] = e instanceof Refusal ? [e.code, e.reason] : [500, 'InternalError'];
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: describeError(e),
    reason,
    code,
  };
  return { code, body: JSON.stringify(status) };
}
