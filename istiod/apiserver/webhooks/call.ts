/** Sends a review to a webhook, over TLS that the webhook's own authority vouches for. */
import { WebhookError } from './review.ts';

export interface Target {
  /** Where to connect to. */
  readonly host: string;
  readonly port: number;
  /** The name in the certificate. */
  readonly name: string;
  readonly path: string;
  /** PEM; undefined: the machine's authorities. */
  readonly ca: string | undefined;
}

/** Bytes of an answer. */
const answerLimit = 10 * 1024 * 1024;

/** The answer's text. WebhookError. */
export async function callWebhook(target: Target, body: string, timeoutMs: number): Promise<string> {
  const { host, port, name, path, ca } = target;
  // It is 60 ms of a start, and most servers have no webhook.
  const { request } = await import('node:https');
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      reject(new WebhookError(why));
      sent.destroy();
    };
    const sent = request({
      host,
      port,
      path,
      method: 'POST',
      // An address has no place in SNI.
      ...(/[a-z]/i.test(name) && !name.includes(':') ? { servername: name } : {}),
      ...(ca === undefined ? {} : { ca }),
      agent: false,
      timeout: timeoutMs,
      headers: {
        host: `${name}:${port}`,
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
      },
      signal: AbortSignal.timeout(timeoutMs),
    });
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > answerLimit) fail(`the answer is larger than ${answerLimit} bytes`);
        else chunks.push(chunk);
      });
      response.on('error', (e) => fail(e.message));
      response.on('end', () => {
        if (response.statusCode !== 200) fail(`it answered ${response.statusCode}`);
        else resolve(Buffer.concat(chunks).toString());
      });
    });
    sent.on('error', (e) =>
      fail(e.name === 'AbortError' || e.name === 'TimeoutError' ? `no answer within ${timeoutMs / 1000} s` : e.message),
    );
    sent.end(body);
  });
}
