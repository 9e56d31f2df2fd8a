/** The validating webhook: HTTPS, `/validate`. Whoever reaches it may ask; answers tell nothing that the question does not. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { answerReview } from './admission-review.ts';

/** Bytes of a question: two objects of at most 1.5 MiB each as etcd takes them, and what is around them. */
const bodyLimit = 4 * 1024 * 1024;
/** API servers keep a few connections; strangers get no more. */
const mostConnections = 256;
/** Ms for a whole request, from its first byte. */
const requestTimeout = 30_000;

export interface WebhookMetrics {
  readonly passed: { inc(): void };
  readonly failed: { inc(): void };
  /** Requests that are no question. */
  readonly unusable: { inc(labels: { readonly status: string }): void };
}

export function createWebhook(context: SecureContextOptions, log: Logger, metrics: WebhookMetrics): Server {
  const server = createServer({ ...context, requestTimeout, headersTimeout: requestTimeout }, (request, response) => {
    handle(request, metrics).then(
      (answer) => send(response, 200, JSON.stringify(answer), 'application/json'),
      (e: unknown) => {
        const [code, text] = e instanceof Refusal ? [e.code, e.message] : [500, 'internal error'];
        metrics.unusable.inc({ status: String(code) });
        if (!(e instanceof Refusal)) log.error('a review failed', { error: describeError(e) });
        send(response, code, `${text}\n`, 'text/plain');
      },
    );
  });
  server.maxConnections = mostConnections;
  // A handshake that fails is the client's matter.
  server.on('tlsClientError', (e) => log.debug('a handshake with the webhook failed', { error: describeError(e) }));
  return server;
}

class Refusal extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

async function handle(request: IncomingMessage, metrics: WebhookMetrics): Promise<object> {
  const path = (request.url ?? '').split('?')[0];
  if (path !== '/validate') throw new Refusal(404, 'expected /validate');
  if (request.method !== 'POST') throw new Refusal(405, 'expected POST');
  if (!(request.headers['content-type'] ?? '').startsWith('application/json')) {
    throw new Refusal(415, 'expected application/json');
  }
  const body = await readBody(request);
  try {
    const answer = answerReview(JSON.parse(body)) as { readonly response: { readonly allowed: boolean } };
    if (answer.response.allowed) metrics.passed.inc();
    else metrics.failed.inc();
    return answer;
  } catch (e) {
    if (e instanceof SyntaxError) throw new Refusal(400, 'the body is not JSON');
    if (e instanceof MeshError) throw new Refusal(400, e.message);
    throw e;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyLimit) throw new Refusal(413, `at most ${bodyLimit} bytes are read`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, code: number, body: string, type: string): void {
  if (response.destroyed) return;
  // What is left of a body that was refused is not read.
  const rest = code === 200 ? {} : { connection: 'close' };
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(body), ...rest });
  response.end(body);
}
