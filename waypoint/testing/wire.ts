/** The other end of a connection in this process, by raw bytes. */
import { until } from '../../common/testing/until.ts';
import type { ByteStream } from '../net/byte-stream.ts';
import { streamPair } from '../net/pair.ts';

export class Wire {
  readonly stream: ByteStream;
  text = '';
  ended = false;
  closed = false;
  error: Error | undefined;

  constructor(stream: ByteStream) {
    this.stream = stream;
    stream.attach({
      bytes: (chunk) => {
        this.text += chunk.toString('latin1');
      },
      ended: () => {
        this.ended = true;
      },
      closed: (error) => {
        this.closed = true;
        this.error = error;
      },
      drained: () => undefined,
    });
  }

  /** Resolves with all that came, once it contains `part`. */
  async has(part: string): Promise<string> {
    await until(`"${part}" in ${JSON.stringify(this.text)}`, () => this.text.includes(part), 3_000);
    return this.text;
  }

  async end(): Promise<string> {
    await until('the end of the connection', () => this.ended || this.closed, 3_000);
    return this.text;
  }
}

export function wired(): { readonly wire: Wire; readonly stream: ByteStream } {
  const [near, far] = streamPair();
  return { wire: new Wire(far), stream: near };
}
