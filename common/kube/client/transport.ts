/** Requests to an API server over HTTP/1.1 with connections kept open, and its refusals as errors of ours. */
import type { Agent as HttpAgent, IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { createSecureContext, type TLSSocket } from 'node:tls';
import { type Millis, millis } from '../../core/brand.ts';
import type { Clock } from '../../core/clock.ts';
import { describeError, type ErrorCode, MeshError } from '../../core/errors.ts';
import { Agent, request as requestHttp } from '../../core/node-http.ts';
import { turnOver } from '../../core/turns.ts';
import { isObject } from '../schema/validate.ts';
import { type ApiAccess, type Impersonation, readText } from './access.ts';
import { type ExecCredential, ExecCredentials } from './exec/exec-credentials.ts';

export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Without the server's own path. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: { readonly type: string; readonly text: string };
  readonly signal?: AbortSignal;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Ms that an answer may take, or the head of one that goes on; a list of 500 objects takes 50 ms. */
export const answerTimeout = millis(30_000);
/** Ms without a byte after which the kernel asks whether the peer is there; it gives up 10 s later. */
const keepAlive = 15_000;
/**
 * ms by which an idle connection is given up before the server says it will (`Keep-Alive: timeout=90`): a write that crosses its close
 * fails, and nobody knows whether it was carried out. A busy machine may keep a program from its timers for seconds.
 */
const idleMargin = 30_000;
/** Ms after which a token is read from its file again. */
const tokenAge = 10_000;

export class Transport {
  readonly #access: ApiAccess;
  readonly #clock: Clock;
  readonly #patience: Millis;
  readonly #impersonation: Readonly<Record<string, string | readonly string[]>>;
  readonly #exec: ExecCredentials | undefined;
  #agent: HttpAgent;
  /** That of a plugin which the agent shows. */
  #certificate: string | undefined;
  #token: { readonly text: string; readonly readAt: number } | undefined;

  constructor(access: ApiAccess, clock: Clock, patience = answerTimeout) {
    this.#access = access;
    this.#clock = clock;
    this.#patience = patience;
    this.#impersonation = impersonationHeaders(access.impersonate);
    const { credentials } = access;
    this.#exec = credentials.kind === 'exec' ? new ExecCredentials(credentials.plugin, clock) : undefined;
    this.#agent = agentFor(access, credentials.kind === 'certificate' ? credentials : undefined);
  }

  /** Ends idle connections; calls that run go on. */
  close(): void {
    this.#agent.destroy();
  }

  /** The JSON of the answer. MeshError NOT_FOUND, CONFLICT, GONE, CONFIG (refused) or API_UNAVAILABLE (try again). */
  async call(call: ApiCall): Promise<unknown> {
    return this.#inTime(call, async (signal) => {
      const response = await this.#send(call, signal);
      const text = await this.#text(call, response, signal);
      await turnOver();
      return parse(call, text);
    });
  }

  /** The text of the answer. Errors as `call` gives them. */
  async text(call: ApiCall): Promise<string> {
    return this.#inTime(call, async (signal) => this.#text(call, await this.#send(call, signal), signal));
  }

  /** An answer that goes on: resolves with the head. The signal ends it. Errors as `call` gives them. */
  async open(call: ApiCall & { readonly signal: AbortSignal }): Promise<IncomingMessage> {
    return this.#inTime(call, (signal) => this.#send(call, signal));
  }

  /** The connection itself, after the answer 101. Errors as `call` gives them. */
  async upgrade(call: ApiCall): Promise<Duplex> {
    return this.#inTime(call, async (signal) => {
      const credential = await this.#exec?.get();
      const [response, socket] = await this.#request(call, signal, credential);
      if (socket !== undefined) return socket;
      const code = response.statusCode ?? 0;
      throw refusal(call, code, await this.#text(call, response, signal));
    });
  }

  async #inTime<T>(call: ApiCall, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const late = new AbortController();
    const timer = this.#clock.after(this.#patience, () => late.abort());
    try {
      return await work(call.signal === undefined ? late.signal : AbortSignal.any([call.signal, late.signal]));
    } finally {
      timer.cancel();
    }
  }

  async #send(call: ApiCall, signal: AbortSignal): Promise<IncomingMessage> {
    const credential = await this.#exec?.get();
    // A connection takes milliseconds to be made, and at a start all kinds are asked for together.
    await turnOver();
    const [response] = await this.#request(call, signal, credential);
    const code = response.statusCode ?? 0;
    if (code === 401 && credential) this.#exec?.refused(credential);
    if (code >= 200 && code < 300) return response;
    throw refusal(call, code, await this.#text(call, response, signal));
  }

  #request(
    call: ApiCall,
    signal: AbortSignal,
    credential?: ExecCredential,
  ): Promise<readonly [IncomingMessage, Duplex?]> {
    const { server } = this.#access;
    const url = new URL(server);
    url.pathname = `${server.pathname.replace(/\/$/, '')}${call.path}`;
    url.search = new URLSearchParams(call.query).toString();
    const token = credential?.token ?? this.#bearer();
    this.#show(credential);
    const headers = {
      accept: 'application/json',
      'user-agent': 'aquifer',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...this.#impersonation,
      ...call.headers,
      ...(call.body === undefined
        ? {}
        : { 'content-type': call.body.type, 'content-length': Buffer.byteLength(call.body.text) }),
    };
    return new Promise((resolve, reject) => {
      const send = server.protocol === 'http:' ? requestHttp : https.request;
      const request = send(url, { method: call.method, agent: this.#agent, headers, signal });
      request.on('socket', (socket: Duplex) => (socket as TLSSocket).setKeepAlive(true, keepAlive));
      request.on('response', (response) => resolve([response]));
      if (call.headers?.['upgrade'] !== undefined)
        request.on('upgrade', (response, socket: Duplex, head: Buffer) => {
          if (head.length > 0) socket.unshift(head);
          resolve([response, socket]);
        });
      request.on('error', (e) => {
        // The server closed a connection that was idle just as it was used; nothing that only reads is harmed by asking again.
        if (call.method === 'GET' && request.reusedSocket && !signal.aborted)
          resolve(this.#request(call, signal, credential));
        else reject(unavailable(call, e, signal, this.#patience));
      });
      request.end(call.body?.text);
    });
  }

  /** A new certificate needs new connections; those under way end as they are. */
  #show(credential: ExecCredential | undefined): void {
    const { certificate, key } = credential ?? {};
    if (certificate === this.#certificate) return;
    this.#certificate = certificate;
    this.#agent.destroy();
    this.#agent = agentFor(
      this.#access,
      certificate === undefined || key === undefined ? undefined : { certificate, key },
    );
  }

  #bearer(): string | undefined {
    const { credentials } = this.#access;
    if (credentials.kind === 'token') return credentials.token;
    if (credentials.kind !== 'tokenFile') return undefined;
    const now = this.#clock.now();
    if (this.#token === undefined || now - this.#token.readAt > tokenAge)
      this.#token = { text: readText(credentials.path, 'the token').trim(), readAt: now };
    return this.#token.text;
  }

  async #text(call: ApiCall, response: IncomingMessage, signal: AbortSignal): Promise<string> {
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      return Buffer.concat(chunks).toString('utf8');
    } catch (e) {
      throw unavailable(call, e, signal, this.#patience);
    }
  }
}

function impersonationHeaders(as: Impersonation | undefined): Readonly<Record<string, string | readonly string[]>> {
  if (as === undefined) return {};
  return {
    'impersonate-user': as.user,
    ...(as.groups.length > 0 && { 'impersonate-group': as.groups }),
    ...(as.uid !== undefined && { 'impersonate-uid': as.uid }),
  };
}

function agentFor(
  { server, ca, insecure, serverName, proxy }: ApiAccess,
  own: { readonly certificate: string; readonly key: string } | undefined,
): HttpAgent {
  const through = proxy && { HTTP_PROXY: proxy.href, HTTPS_PROXY: proxy.href };
  const pooled = {
    keepAlive: true,
    agentKeepAliveTimeoutBuffer: idleMargin,
    scheduling: 'lifo',
    ...(through && { proxyEnv: through }),
  } as const;
  if (server.protocol === 'http:') return new Agent(pooled);
  // Once for all connections: making it takes as long as the rest of a connection.
  const secureContext = createSecureContext({
    ...(ca === undefined ? {} : { ca }),
    ...(own && { cert: own.certificate, key: own.key }),
  });
  return new https.Agent({
    ...pooled,
    secureContext,
    ...(serverName === undefined ? {} : { servername: serverName }),
    rejectUnauthorized: !insecure,
  });
}

/** `GET /api/v1/pods: ...` */
export function titled(call: ApiCall, text: string): string {
  return `${call.method} ${call.path}: ${text}`;
}

export function unavailable(call: ApiCall, e: unknown, signal?: AbortSignal, patience = answerTimeout): MeshError {
  const late = signal?.aborted === true && call.signal?.aborted !== true;
  const text = late ? `no answer within ${patience / 1000} s` : describeError(e);
  return new MeshError('API_UNAVAILABLE', titled(call, text), { cause: e });
}

/** `text` is a Status where an API server answered, and anything where something else did. */
export function refusal(call: ApiCall, code: number, text: string): MeshError {
  const { message = `HTTP ${code}`, causes = [] } = statusOf(text);
  return new ApiRefusal(codeOf(code), titled(call, message), message, causes);
}

/** One field of an object that the server does not take. */
export interface RefusalCause {
  /** `spec.containers[0].name`. */
  readonly field: string;
  readonly message: string;
}

/** An API server's own words. */
export class ApiRefusal extends MeshError {
  /** Without the request. */
  readonly said: string;
  readonly causes: readonly RefusalCause[];

  constructor(code: ErrorCode, message: string, said: string, causes: readonly RefusalCause[]) {
    super(code, message);
    this.said = said;
    this.causes = causes;
  }
}

function codeOf(code: number): ErrorCode {
  switch (code) {
    case 404:
      return 'NOT_FOUND';
    case 409:
      return 'CONFLICT';
    case 410:
      return 'GONE';
    // Requests are limited, or the token is being replaced.
    case 401:
    case 429:
      return 'API_UNAVAILABLE';
    default:
      return code >= 400 && code < 500 ? 'CONFIG' : 'API_UNAVAILABLE';
  }
}

function statusOf(text: string): { readonly message?: string; readonly causes?: readonly RefusalCause[] } {
  try {
    const status: unknown = JSON.parse(text);
    if (!isObject(status) || typeof status['message'] !== 'string') return {};
    const { message, details } = status;
    const causes: unknown = isObject(details) ? details['causes'] : undefined;
    return {
      message: message as string,
      causes: (Array.isArray(causes) ? (causes as unknown[]) : []).flatMap(causeOf),
    };
  } catch {
    // A proxy in between answers with a page.
    return {};
  }
}

function causeOf(cause: unknown): readonly RefusalCause[] {
  if (!isObject(cause) || typeof cause['field'] !== 'string' || typeof cause['message'] !== 'string') return [];
  return [{ field: cause['field'], message: cause['message'] }];
}

function parse(call: ApiCall, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (e) {
    throw new MeshError('API_UNAVAILABLE', titled(call, 'the answer is not JSON'), { cause: e });
  }
}
