/** One request of a probe by HTTP/2, over a connection of its own. */
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../common/core/clock.ts';
import type { ClientHandler } from '../../http/client-codec.ts';
import { Http2Client } from '../../http/http2/client.ts';
import type { HeaderList, ResponseReader } from '../../http/message.ts';
import { DuplexStream } from '../../net/duplex-stream.ts';
import type { UpstreamProtocol } from '../config.ts';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: HeaderList;
  readonly body: Buffer;
}

export interface Answered {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer;
  readonly trailers: HeaderList;
}

/** What of an answer's body is kept; a status of gRPC is a few bytes. */
const mostBytes = 65_536;

/** The body is cut at 64 KiB. Rejects when the answer breaks off or the signal aborts first. The caller ends the connection. */
export function exchange(
  duplex: Duplex,
  asked: Asked,
  settings: Pick<UpstreamProtocol, 'http2' | 'maxHeaderBytes' | 'maxHeaders'>,
  clock: Clock,
  signal: AbortSignal,
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const limits = { bytes: settings.maxHeaderBytes, count: settings.maxHeaders };
    const handler: ClientHandler = {
      allowed: () => undefined,
      draining: () => undefined,
      closed: (error) => reject(error ?? new Error('the connection was closed')),
    };
    const { body, ...rest } = asked;
    const opened = () => {
      const head = { ...rest, scheme: 'http', upgrade: undefined, version: 'HTTP/2' } as const;
      const sent = codec.request(head, body.length === 0, readerOf(resolve, reject));
      if (body.length === 0) return;
      sent.write(body);
      sent.end();
    };
    const codec = new Http2Client(
      new DuplexStream(duplex),
      { ...limits, ...settings.http2 },
      'http',
      clock,
      opened,
      handler,
    );
    signal.addEventListener('abort', () => reject(new Error('timeout')), { once: true });
  });
}

function readerOf(resolve: (answer: Answered) => void, reject: (error: Error) => void): ResponseReader {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let head: { readonly status: number; readonly headers: HeaderList } | undefined;
  const ended = (trailers: HeaderList = []) => resolve({ ...head!, body: Buffer.concat(chunks), trailers });
  return {
    informational: () => undefined,
    response: (told, end) => {
      head = told;
      if (end) ended();
    },
    data: (chunk) => {
      const kept = chunk.subarray(0, mostBytes - bytes);
      bytes += kept.length;
      if (kept.length > 0) chunks.push(kept);
    },
    end: ended,
    broke: (why) => reject(new Error(why.kind === 'refused' ? 'the host refused the stream' : why.detail)),
    drained: () => undefined,
  };
}
