/** A request of JSON becomes frames of gRPC. */
import type { Headers } from '../../request/headers.ts';
import type { LocalReply } from '../filter.ts';
import type { Onward, RequestStage } from '../stream.ts';
import type { Config } from './config.ts';
import { ArrayElements, TooLong } from './elements.ts';
import { frame } from './frames.ts';
import type { Way } from './methods.ts';
import { type FieldBinding, requestMessage } from './request-message.ts';

export class FromJson implements RequestStage {
  readonly #onward: Onward;
  readonly #config: Config;
  readonly #way: Way;
  /** Of the first message alone. */
  #bindings: readonly FieldBinding[];
  readonly #elements: ArrayElements | undefined;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  #text = '';
  #bytes = 0;
  #refused = false;

  constructor(onward: Onward, config: Config, way: Way, bindings: readonly FieldBinding[]) {
    this.#onward = onward;
    this.#config = config;
    this.#way = way;
    this.#bindings = bindings;
    if (way.method.clientStreams && way.body !== undefined) this.#elements = new ArrayElements(config.mostRequest);
  }

  /** The head of one message waits for it: what is wrong with it never reaches the host. */
  head(ended: boolean): void {
    if (ended) this.#finish(undefined);
    else if (this.#elements) this.#onward.head(false);
  }

  data(chunk: Buffer): void {
    if (this.#refused) return;
    this.#bytes += chunk.length;
    if (!this.#elements && this.#bytes > this.#config.mostRequest) this.#refuse(tooLarge);
    else this.#attempt(() => this.#take(this.#decoder.decode(chunk, { stream: true })));
  }

  end(trailers: Headers | undefined): void {
    if (this.#refused) return;
    this.#finish(trailers);
  }

  #take(text: string): void {
    if (!this.#elements) {
      this.#text += text;
      return;
    }
    for (const element of this.#elements.push(text)) this.#onward.data(this.#message(element));
  }

  #finish(trailers: Headers | undefined): void {
    this.#attempt(() => {
      this.#take(this.#decoder.decode());
      if (this.#elements && this.#bytes > 0) {
        if (!this.#elements.isComplete) throw new Error('the array has no end');
      } else {
        const message = this.#message(this.#text);
        this.#onward.head(false);
        this.#onward.data(message);
      }
      this.#onward.end(trailers);
    });
  }

  #message(json: string): Buffer {
    const bindings = this.#bindings;
    this.#bindings = [];
    return frame(requestMessage(this.#way, json, bindings, this.#config.rejects.collisions));
  }

  #attempt(act: () => void): void {
    try {
      act();
    } catch (e) {
      this.#refuse(e instanceof TooLong ? tooLarge : bad(e instanceof Error ? e.message : String(e)));
    }
  }

  #refuse(reply: LocalReply): void {
    this.#refused = true;
    this.#text = '';
    this.#onward.reply(reply);
  }
}

function bad(why: string): LocalReply {
  return {
    kind: 'reply',
    status: 400,
    headers: [],
    body: why,
    details: 'grpc_json_transcode_failure{INVALID_ARGUMENT}',
  };
}

const tooLarge: LocalReply = {
  kind: 'reply',
  status: 413,
  headers: [],
  body: "Request rejected because the transcoder's internal buffer size exceeds the configured limit.",
  details: 'request_payload_too_large',
};
