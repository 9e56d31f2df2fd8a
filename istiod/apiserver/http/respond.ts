/** Writes replies: in the form that the client accepts, compressed where it asks, no faster than it reads. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import { Readable, type Writable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import { constants, createGzip } from 'node:zlib';
import type { Clock } from '../../../common/core/clock.ts';
import { assertNever, describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import { isObject } from '../../../common/kube/schema/validate.ts';
import { contentTypeOf, encodeList, encodeObject, encodeValue, type TableOptions } from '../codec/encode.ts';
import { negotiate, type Representation } from '../codec/negotiate.ts';
import { hasProtobuf } from '../codec/protobuf/encode.ts';
import { protobufType } from '../codec/protobuf/wire.ts';
import { apiVersionOf, type Resource } from '../resources/resource.ts';
import { ApiError, type StatusDetails } from '../status.ts';
import type { IncludeObject } from '../tables/render.ts';
import type { Reply } from './api-request.ts';
import type { Limits } from './limits.ts';
import { streamWatch } from './watch-stream.ts';
import { writeInBlocks } from './write-in-blocks.ts';

export interface Outgoing {
  readonly request: IncomingMessage | Http2ServerRequest;
  readonly response: ServerResponse | Http2ServerResponse;
  readonly query: URLSearchParams;
  /** Texts of `Warning` headers. */
  readonly warnings: readonly string[];
  readonly clock: Clock;
  readonly limits: Limits;
  readonly log: Logger;
}

/** Compressing less costs more than it saves. */
const compressFrom = 128 * 1024;

/** Resolves when all is written or the client is gone. ApiError 406 before anything is. */
export async function respond(out: Outgoing, reply: Exclude<Reply, { kind: 'upgrade' }>): Promise<void> {
  try {
    await write(out, reply);
  } catch (e) {
    if (out.response.headersSent || !(e instanceof ApiError)) {
      out.log.debug('a response was cut', { error: describeError(e) });
      out.response.destroy();
      return;
    }
    // Not even the refusal can be told in a form that the client takes.
    sendText(out, e.status.code, 'application/json', JSON.stringify(e.status));
  }
}

async function write(out: Outgoing, reply: Exclude<Reply, { kind: 'upgrade' }>): Promise<void> {
  const form = (convertible: boolean, { apiVersion, kind }: Named) =>
    negotiate(out.request.headers.accept, out.query, { convertible, protobuf: hasProtobuf(apiVersion, kind) });
  const formOf = (resource: Resource) => form(true, { apiVersion: apiVersionOf(resource), kind: resource.kind });
  const table = (): TableOptions => ({ include: includeOf(out.query), now: out.clock.wall() });
  switch (reply.kind) {
    case 'object': {
      const f = formOf(reply.resource);
      return sendText(out, reply.code, contentTypeOf(f), encodeObject(f, reply.resource, reply.json, table()));
    }
    case 'value': {
      // A refusal is told also to those who asked for a table, or for something that is not served.
      const f = reply.code >= 400 ? plainForm(out) : form(false, nameOf(reply.value));
      const { details } = reply.value as { readonly details?: StatusDetails };
      if (details?.retryAfterSeconds !== undefined)
        out.response.setHeader('retry-after', String(details.retryAfterSeconds));
      return sendText(out, reply.code, contentTypeOf(f), encodeValue(f, reply.value));
    }
    case 'list': {
      const f = formOf(reply.resource);
      return sendPieces(out, contentTypeOf(f), encodeList(f, reply.resource, reply.items, reply.metadata, table()));
    }
    case 'text':
      return sendText(out, reply.code, reply.contentType, reply.text);
    case 'stream':
      head(out, 200, reply.contentType, {});
      return pipeline(Readable.from(reply.chunks), out.response as NodeJS.WritableStream);
    case 'watch':
      return sendWatch(out, formOf(reply.resource), reply, table());
    default:
      return assertNever(reply);
  }
}

interface Named {
  readonly apiVersion: string;
  readonly kind: string;
}

function nameOf(value: unknown): Named {
  if (!isObject(value)) return { apiVersion: '', kind: '' };
  return { apiVersion: String(value['apiVersion']), kind: String(value['kind']) };
}

function plainForm({ request }: Outgoing): Representation {
  const first = mediaTypeOf(request.headers.accept ?? '');
  const format = first === protobufType ? 'protobuf' : first === 'application/yaml' ? 'yaml' : 'json';
  return { format, as: 'object', pretty: false };
}

function mediaTypeOf(accept: string): string {
  return accept.split(/[,;]/, 1)[0]!.trim().toLowerCase();
}

function includeOf(query: URLSearchParams): IncludeObject {
  const value = query.get('includeObject');
  return value === 'None' || value === 'Object' ? value : 'Metadata';
}

function head(
  { response, warnings }: Outgoing,
  code: number,
  contentType: string,
  more: Readonly<Record<string, string>>,
): void {
  response.statusCode = code;
  response.setHeader('content-type', contentType);
  response.setHeader('cache-control', 'no-cache, private');
  // RFC 9111 5.5: code 299, no agent, the text in quotes.
  const texts = warnings.slice(0, 20).map((w) => `299 - ${JSON.stringify(w.replace(/[^ -~]/g, '?').slice(0, 256))}`);
  if (texts.length > 0) response.setHeader('warning', texts);
  for (const [name, value] of Object.entries(more)) response.setHeader(name, value);
}

function sendText(out: Outgoing, code: number, contentType: string, text: string | Buffer): Promise<void> | void {
  if (text.length >= compressFrom && wantsGzip(out)) return sendPieces(out, contentType, [text], code);
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  head(out, code, contentType, { 'content-length': String(bytes.length) });
  out.response.end(out.request.method === 'HEAD' ? '' : bytes);
}

async function sendPieces(
  out: Outgoing,
  contentType: string,
  pieces: Iterable<string | Buffer>,
  code = 200,
): Promise<void> {
  const response = out.response as NodeJS.WritableStream & Writable;
  if (out.request.method === 'HEAD') {
    head(out, code, contentType, {});
    response.end();
    return;
  }
  if (!wantsGzip(out)) {
    head(out, code, contentType, {});
    return writeInBlocks(response, pieces);
  }
  head(out, code, contentType, { 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
  const gzip = createGzip({ level: constants.Z_BEST_SPEED });
  await Promise.all([writeInBlocks(gzip, pieces), pipeline(gzip, response)]);
}

function wantsGzip({ request }: Outgoing): boolean {
  return /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/.test(String(request.headers['accept-encoding'] ?? ''));
}

async function sendWatch(
  out: Outgoing,
  form: Representation,
  reply: Reply & { kind: 'watch' },
  table: TableOptions,
): Promise<void> {
  const { response, clock, limits, log } = out;
  head(out, 200, `${contentTypeOf(form)};stream=watch`, {});
  // Without the layer that looks like HTTP/1.1: a hundred watches pay for it at each change.
  const stream: NodeJS.WritableStream = 'stream' in response ? response.stream : response;
  const sink = {
    write: (bytes: Buffer | string) => stream.write(bytes),
    end: () => void response.end(),
    cut: () => {
      log.info('cut a watch whose client takes nothing', { resource: reply.resource.resource });
      response.destroy();
    },
    onDrain: undefined as (() => void) | undefined,
  };
  stream.on('drain', () => sink.onDrain?.());
  // The client waits for the head before it reads events.
  (response as ServerResponse).flushHeaders();
  const close = streamWatch({
    form,
    resource: reply.resource,
    watch: reply.watch,
    sink,
    table,
    clock,
    stalled: limits.stalled,
    onError: (error) => log.error('a watch failed', { error }),
  });
  try {
    await finished(response as NodeJS.WritableStream);
  } finally {
    close();
  }
}
