/** Reads a request's body within limits. */
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ApiError, badRequest, tooLarge } from '../status.ts';
import type { Limits } from './limits.ts';

/** ApiError 408, 413; 400 for what is not gzip although it says so. */
export function readBody(source: Readable, encoding: string | undefined, limits: Limits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const unpacking = encoding === 'gzip' ? createGunzip() : undefined;
    const body = unpacking === undefined ? source : source.pipe(unpacking);
    const fail = (error: unknown) => {
      clearTimeout(timer);
      // The rest is read and dropped, so that the client sees the answer instead of a reset.
      body.removeAllListeners('data');
      // A small body can unpack to a huge one.
      if (unpacking !== undefined) {
        source.unpipe(unpacking);
        unpacking.destroy();
      }
      source.resume();
      reject(error);
    };
    const timer = setTimeout(
      () => fail(new ApiError(408, 'Timeout', `the body did not arrive in ${limits.bodyTime / 1000} s`)),
      limits.bodyTime,
    );
    body.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > limits.body) fail(tooLarge(limits.body));
      else chunks.push(chunk);
    });
    body.on('end', () => {
      clearTimeout(timer);
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    });
    body.on('error', (e) => fail(badRequest(`the body cannot be read: ${e.message}`)));
    source.on('close', () => {
      // What came whole may still be unpacked.
      if (!source.readableEnded) fail(badRequest('the client went before its body was complete'));
    });
  });
}
