/** Looks at the first bytes of a connection and gives them back. */

import type { Millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import type { ByteStream } from './byte-stream.ts';

/** What a look at the bytes so far says: more are needed, or a finding, and how many bytes are consumed for good. */
export type Look<T> =
  | { readonly kind: 'more' }
  | { readonly kind: 'done'; readonly found: T; readonly consumed: number };

export type Peeked<T> =
  | { readonly kind: 'found'; readonly found: T }
  | { readonly kind: 'timeout' }
  /** The peer ended or cut it before. */
  | { readonly kind: 'closed' };

/** More than this is not waited for: whatever is looked for stands in fewer bytes. */
const limit = 65_536;

export function peek<T>(
  stream: ByteStream,
  look: (bytes: Buffer) => Look<T>,
  tooMuch: T,
  clock: Clock,
  timeout: Millis | undefined,
): Promise<Peeked<T>> {
  return new Promise((resolve) => {
    let bytes: Buffer = Buffer.alloc(0);
    let settled = false;
    const settle = (result: Peeked<T>, consumed: number) => {
      if (settled) return;
      settled = true;
      timer?.cancel();
      stream.pause();
      if (bytes.length > consumed) stream.unread(bytes.subarray(consumed));
      resolve(result);
    };
    const timer = timeout === undefined ? undefined : clock.after(timeout, () => settle({ kind: 'timeout' }, 0));
    stream.attach({
      bytes(chunk) {
        if (settled) {
          stream.unread(chunk);
          return;
        }
        bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
        const seen = look(bytes);
        if (seen.kind === 'done') settle({ kind: 'found', found: seen.found }, seen.consumed);
        else if (bytes.length > limit) settle({ kind: 'found', found: tooMuch }, 0);
      },
      ended: () => settle({ kind: 'closed' }, 0),
      closed: () => settle({ kind: 'closed' }, 0),
      drained: () => undefined,
    });
    stream.resume();
  });
}
