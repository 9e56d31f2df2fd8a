/** HTTPS, HTTP/1.1 and HTTP/2 on one port: reads requests, asks who it is and whether it may, and writes what the handler answers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../../common/core/clock.ts';
import { describeError, MeshError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { type Authenticator, anonymous, type User } from '../authn/authenticator.ts';
import { impersonated } from '../authn/impersonation.ts';
import type { Action, Authorizer, PathAction } from '../authz/authorizer.ts';
import type { ListenPlace } from '../config.ts';
import {
  ApiError,
  badRequest,
  forbidden,
  internalError,
  methodNotAllowed,
  tooManyRequests,
  unauthorized,
} from '../status.ts';
import type { ApiRequest, Handler, Reply } from './api-request.ts';
import { readBody } from './body.ts';
import { Lifetime } from './lifetime.ts';
import { Gate, type Limits } from './limits.ts';
import { parseRequestInfo, type RequestInfo } from './request-info.ts';
import { type Outgoing, respond } from './respond.ts';

export interface HttpOptions {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
  /** PEM; client certificates that it signed name users. */
  readonly clientCa: string;
  readonly listen: readonly ListenPlace[];
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly handler: Handler;
  readonly limits: Limits;
  /** Called when a request is answered; a watch's at its end. `info` is undefined where the path could not be read. */
  readonly observe: (info: RequestInfo | undefined, code: number) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface HttpServer {
  /** As bound, in the order of `listen`. */
  readonly addresses: readonly AddressInfo[];
  stop(): Promise<void>;
}

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

/** ms that a connection of HTTP/1.1 may be idle, which clients are told; the API server of Kubernetes takes 90 s, too. */
const idleTimeout = 90_000;

/** MeshError CONFIG when an address cannot be had. */
export async function startHttpServer(options: HttpOptions): Promise<HttpServer> {
  const stop = new AbortController();
  const serving = new Serving(options, stop.signal);
  const servers: Http2SecureServer[] = [];
  const connections = new Set<Socket>();
  try {
    for (const at of options.listen) servers.push(await listen(serving, options, at, connections));
  } catch (e) {
    for (const server of servers) server.close();
    throw e;
  }
  return {
    addresses: servers.map((s) => s.address() as AddressInfo),
    async stop() {
      stop.abort();
      const closed = servers.map((s) => new Promise<void>((resolve) => s.close(() => resolve())));
      for (const connection of connections) connection.destroy();
      await Promise.all(closed);
    },
  };
}

function listen(
  serving: Serving,
  options: HttpOptions,
  at: ListenPlace,
  connections: Set<Socket>,
): Promise<Http2SecureServer> {
  const server = createSecureServer({
    allowHTTP1: true,
    http1Options: { keepAliveTimeout: idleTimeout },
    key: options.key,
    cert: options.certificate,
    ca: options.clientCa,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    settings: { maxConcurrentStreams: 250, enablePush: false, maxHeaderListSize: 64 * 1024 },
    maxSettings: 16,
    maxSessionInvalidFrames: 10,
    maxSessionRejectedStreams: 20,
    streamResetBurst: 200,
    streamResetRate: 50,
  });
  server.maxConnections = options.limits.connections;
  server.on('connection', (socket: Socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  for (const event of ['tlsClientError', 'sessionError', 'clientError'] as const) {
    server.on(event, (e: Error) => options.log.debug('connection failed', { event, error: describeError(e) }));
  }
  server.on('request', (request: Request, response: Response) => void serving.serve(request, response));
  server.on(
    'upgrade',
    (request: IncomingMessage, socket: Duplex, head: Buffer) => void serving.upgrade(request, socket, head),
  );
  return new Promise((resolve, reject) => {
    server.once('error', (e) =>
      reject(new MeshError('CONFIG', `cannot listen on ${titleOf(at)} (--listen): ${describeError(e)}`)),
    );
    server.listen('fd' in at ? at : { port: at.port, ...(at.ip === undefined ? {} : { host: at.ip }) }, () =>
      resolve(server),
    );
  });
}

function titleOf(at: ListenPlace): string {
  return 'fd' in at ? `fd:${at.fd}` : `${at.ip ?? '*'}:${at.port}`;
}

/** A request before anything is known of it. */
interface Incoming {
  readonly request: Request;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** ApiError 400. */
  info(): RequestInfo;
  readonly lifetime: Lifetime;
  readonly warnings: string[];
}

class Serving {
  readonly #options: HttpOptions;
  readonly #stopping: AbortSignal;
  readonly #gates: Readonly<Record<'read' | 'write' | 'watch', Gate>>;

  constructor(options: HttpOptions, stopping: AbortSignal) {
    this.#options = options;
    this.#stopping = stopping;
    const { reads, writes, watches } = options.limits;
    this.#gates = { read: new Gate(reads), write: new Gate(writes), watch: new Gate(watches) };
  }

  async serve(request: Request, response: Response): Promise<void> {
    const { log, clock, limits } = this.#options;
    const incoming = this.#begin(request);
    response.on('error', (e: Error) => log.debug('a response failed', { error: describeError(e) }));
    response.on('close', () => incoming.lifetime.end());
    const out: Outgoing = { request, response, query: incoming.query, warnings: incoming.warnings, clock, limits, log };
    let leave: (() => void) | undefined;
    let info: RequestInfo | undefined;
    try {
      info = incoming.info();
      const gate = this.#gates[gateOf(info)];
      leave = gate.enter();
      if (leave === undefined) throw tooManyRequests(1, 'too many requests, please try again later');
      const reply = await this.#answer(incoming, info);
      if (reply.kind === 'upgrade') throw badRequest('this needs a connection that can be upgraded');
      await respond(out, reply);
    } catch (e) {
      await respond(out, {
        kind: 'value',
        code: this.#statusOf(e, incoming.path).status.code,
        value: this.#statusOf(e, incoming.path).status,
      });
    } finally {
      leave?.();
      incoming.lifetime.end();
      this.#options.observe(info, response.statusCode);
    }
  }

  /** HTTP/1.1 with `Connection: Upgrade`. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', (e) => this.#options.log.debug('an upgraded connection failed', { error: describeError(e) }));
    const incoming = this.#begin(request);
    socket.on('close', () => incoming.lifetime.end());
    try {
      const reply = await this.#answer(incoming, incoming.info());
      if (reply.kind !== 'upgrade') throw badRequest('this resource does not take upgraded connections');
      reply.accept(socket, head);
    } catch (e) {
      const { status } = this.#statusOf(e, incoming.path);
      const body = JSON.stringify(status);
      socket.end(
        `HTTP/1.1 ${status.code} ${status.reason}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
  }

  #begin(request: Request): Incoming {
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    const path = mark < 0 ? url : url.slice(0, mark);
    const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
    const method = request.method ?? 'GET';
    const info = (): RequestInfo => {
      const parsed = parseRequestInfo(method, path, query);
      if (parsed === undefined) throw badRequest('the path cannot be decoded');
      if (parsed.kind === 'resource' && !methods.has(method)) throw methodNotAllowed(parsed, method);
      return parsed;
    };
    return { request, method, path, query, info, lifetime: new Lifetime(this.#stopping), warnings: [] };
  }

  async #answer(incoming: Incoming, info: RequestInfo): Promise<Reply> {
    const { request, method, query, lifetime, warnings } = incoming;
    const { authorizer, handler, limits, log } = this.#options;
    const caller = await this.#authenticate(request);
    const allow = (who: User, what: Action): void => {
      const decision = authorizer.authorize(who, what);
      if (decision.kind !== 'allowed') throw refusal(who, what, decision.reason, log);
    };
    const user = impersonated(caller, request.rawHeaders, (what) => allow(caller, what));
    const authorize = (what: Action): void => allow(user, what);
    authorize(namedBySelector(info, query));
    let body: Promise<Buffer> | undefined;
    const apiRequest: ApiRequest = {
      info,
      method,
      query,
      headers: request.headers,
      user,
      get signal() {
        return lifetime.signal;
      },
      body: () => (body ??= readBody(request, request.headers['content-encoding'], limits)),
      authorize,
      warn: (text) => void warnings.push(text),
    };
    return handler(apiRequest);
  }

  async #authenticate(request: Request): Promise<User> {
    const header = request.headers.authorization ?? '';
    const token = /^Bearer +(\S+) *$/i.exec(header)?.[1];
    const socket = request.socket as TLSSocket;
    const certificate = socket.authorized ? socket.getPeerX509Certificate()?.raw : undefined;
    const answer = await this.#options.authenticator.authenticate({ token, certificate });
    if (answer.kind === 'user') return answer.user;
    if (answer.kind === 'refused') this.#options.log.info('refused credentials', { reason: answer.reason });
    if (answer.kind === 'refused' || header !== '') throw unauthorized();
    return anonymous;
  }

  #statusOf(e: unknown, path: string): ApiError {
    if (e instanceof ApiError) return e;
    this.#options.log.error('a request failed', {
      path,
      error: e instanceof Error ? (e.stack ?? e.message) : String(e),
    });
    return internalError();
  }
}

/** A list or watch of one name is of that object: roles may name it. */
function namedBySelector(info: RequestInfo, query: URLSearchParams): RequestInfo {
  if (info.kind === 'path' || info.name !== '' || !info.verb.match(/^(list|watch|deletecollection)$/)) return info;
  const [, name = ''] = /^metadata\.name==?([^,=!\\]+)$/.exec(query.get('fieldSelector') ?? '') ?? [];
  return name === '' ? info : { ...info, name };
}

function gateOf(info: RequestInfo): 'read' | 'write' | 'watch' {
  if (info.kind === 'path') return 'read';
  if (info.verb === 'watch' || longSubresources.has(info.subresource)) return 'watch';
  return info.verb === 'get' || info.verb === 'list' ? 'read' : 'write';
}

/** Of requests for objects. */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']);
const longSubresources = new Set(['log', 'exec', 'attach', 'portforward', 'proxy']);

function refusal(user: User, info: Action, reason: string, log: Logger): ApiError {
  if (reason !== '') log.debug('not allowed', { user: user.name, reason });
  const why = reason === '' ? '' : `: ${reason}`;
  if (info.kind === 'path') return pathForbidden(user, info, why);
  const { verb, group, resource, subresource, name } = info;
  const what = `${resource}${subresource === '' ? '' : `/${subresource}`}`;
  const where = info.namespace === '' ? 'at the cluster scope' : `in the namespace "${info.namespace}"`;
  return forbidden(
    { group, resource },
    name,
    `User "${user.name}" cannot ${verb} resource "${what}" in API group "${group}" ${where}${why}`,
  );
}

function pathForbidden(user: User, { verb, path }: PathAction, why: string): ApiError {
  return new ApiError(403, 'Forbidden', `forbidden: User "${user.name}" cannot ${verb} path "${path}"${why}`);
}
