/** An answer of gRPC becomes JSON: one message, or an array of what streams. */
import { isGrpcResponse } from '../../request/grpc.ts';
import type { Headers } from '../../request/headers.ts';
import type { ResponseView } from '../../request/view.ts';
import type { LocalReply } from '../filter.ts';
import type { Onward, ResponseStage } from '../stream.ts';
import type { Config } from './config.ts';
import { FrameReader } from './frames.ts';
import type { Way } from './methods.ts';
import { printMessage } from './print.ts';
import { httpStatusOf } from './status.ts';
import { statusJson } from './status-json.ts';

export class ToJson implements ResponseStage {
  readonly #onward: Onward;
  readonly #config: Config;
  readonly #way: Way;
  readonly #frames: FrameReader;
  /** Undefined: it is no gRPC, and passes. */
  #response: ResponseView | undefined;
  /** Of one message, which waits for its status. */
  #body: string | undefined;
  #any = false;
  #refused = false;

  constructor(onward: Onward, config: Config, way: Way) {
    this.#onward = onward;
    this.#config = config;
    this.#way = way;
    this.#frames = new FrameReader(config.mostResponse);
  }

  head(response: ResponseView, ended: boolean): void {
    const isGrpc = ended ? response.headers.has('grpc-status') : isGrpcResponse(response);
    if (!isGrpc) {
      this.#onward.head(ended);
      return;
    }
    this.#response = response;
    const { headers } = response;
    if (!ended || this.#way.method.serverStreams) headers.set('content-type', 'application/json');
    if (ended) this.#endAtOnce(response);
    else if (this.#way.method.serverStreams) this.#onward.head(false);
  }

  data(chunk: Buffer): void {
    if (!this.#response) this.#onward.data(chunk);
    if (!this.#response || this.#refused) return;
    const messages = this.#frames.push(chunk);
    if (messages === 'too-long') this.#refuse(tooLarge);
    else if (messages === 'compressed') this.#refuse(bad('the message is compressed'));
    else for (const message of messages) this.#take(message);
  }

  end(trailers: Headers | undefined): void {
    if (this.#refused) return;
    if (!this.#response) this.#onward.end(trailers);
    else if (!this.#frames.isComplete) this.#refuse(bad('the message has no end'));
    else if (this.#way.method.serverStreams) this.#endStream(trailers);
    else this.#endOne(this.#response, trailers);
  }

  #take(message: Buffer): void {
    if (this.#refused) return;
    const json = this.#print(message);
    if (json === undefined) return;
    const isFirst = !this.#any;
    this.#any = true;
    if (!this.#way.method.serverStreams) this.#body = (this.#body ?? '') + json;
    else if (this.#config.linesOfStreams) this.#onward.data(Buffer.from(`${json}\n`));
    else this.#onward.data(Buffer.from(`${isFirst ? '[' : ','}${json}`));
    if (this.#body !== undefined && this.#body.length > this.#config.mostResponse) this.#refuse(tooLarge);
  }

  #print(message: Buffer): string | undefined {
    try {
      return printMessage(this.#way.method.output, message, this.#config.print);
    } catch (e) {
      this.#refuse(bad(e instanceof Error ? e.message : String(e)));
      return undefined;
    }
  }

  #endStream(trailers: Headers | undefined): void {
    const status = statusOf(trailers);
    const failure = trailers && status !== undefined ? this.#failure(status, trailers) : undefined;
    const end = failure ?? this.#streamEnd();
    if (end !== '') this.#onward.data(Buffer.from(end));
    this.#onward.end(trailers);
  }

  #streamEnd(): string {
    if (this.#config.linesOfStreams) return '';
    return this.#any ? ']' : '[]';
  }

  #endOne(response: ResponseView, trailers: Headers | undefined): void {
    const { headers } = response;
    if (!trailers) {
      // It has no status, which gRPC would call unknown; Envoy leaves it HTTP's.
      this.#onward.head(false);
      if (this.#body) this.#onward.data(Buffer.from(this.#body));
      this.#onward.end();
      return;
    }
    const status = statusOf(trailers);
    if (status !== undefined && this.#converts(response, status, trailers)) return;
    response.status = status === undefined ? 503 : httpStatusOf(status);
    if (status !== undefined) headers.set('grpc-status', String(status));
    const message = trailers.first('grpc-message');
    if (message !== undefined) headers.set('grpc-message', message);
    this.#send(response, this.#body ?? '', trailers);
  }

  /** All that there is are headers. */
  #endAtOnce(response: ResponseView): void {
    const { headers } = response;
    const status = statusOf(headers);
    if (status !== undefined && this.#converts(response, status, undefined)) return;
    response.status = status === undefined ? 503 : httpStatusOf(status);
    if (this.#way.method.serverStreams) {
      const end = this.#streamEnd();
      this.#onward.head(end === '');
      if (end === '') return;
      this.#onward.data(Buffer.from(end));
      this.#onward.end();
      return;
    }
    this.#send(response, '', undefined);
  }

  /** As JSON, in place of messages that there are none of. */
  #failure(status: number, headers: Headers): string | undefined {
    if (!this.#config.convertsStatus || this.#any || status === 0) return undefined;
    return statusJson(this.#way.method.output, status, headers, this.#config.print);
  }

  #converts(response: ResponseView, status: number, trailers: Headers | undefined): boolean {
    const { headers } = response;
    const json = this.#failure(status, trailers ?? headers);
    if (json === undefined) return false;
    response.status = httpStatusOf(status);
    if (!trailers) for (const name of ['grpc-status', 'grpc-message', 'grpc-status-details-bin']) headers.remove(name);
    headers.set('content-type', 'application/json');
    this.#send(response, json, trailers);
    return true;
  }

  #send({ headers }: ResponseView, body: string, trailers: Headers | undefined): void {
    const bytes = Buffer.from(body);
    headers.remove('trailer');
    headers.set('content-length', String(bytes.length));
    const ended = bytes.length === 0 && !trailers;
    this.#onward.head(ended);
    if (bytes.length > 0) this.#onward.data(bytes);
    if (!ended) this.#onward.end(trailers);
  }

  #refuse(reply: LocalReply): void {
    this.#refused = true;
    this.#body = undefined;
    this.#onward.reply(reply);
  }
}

function statusOf(of: Headers | undefined): number | undefined {
  const text = of?.first('grpc-status');
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function bad(why: string): LocalReply {
  return { kind: 'reply', status: 502, headers: [], body: why, details: 'grpc_json_transcode_failure{INTERNAL}' };
}

const tooLarge: LocalReply = {
  kind: 'reply',
  status: 500,
  headers: [],
  body: "Response not transcoded because the transcoder's internal buffer size exceeds the configured limit.",
  details: 'response_payload_too_large',
};
