/** Requests of the proxy's own say so, and who sends them. */
import { Headers } from '../../request/headers.ts';
import type { HeaderList } from '../message.ts';

/** `ownAddress`: undefined where x-forwarded-for stays as it is. */
export function ownHeaders(headers: HeaderList, ownAddress: string | undefined): Headers {
  const own = new Headers([...headers]);
  const before = own.get('x-forwarded-for');
  if (ownAddress !== undefined)
    own.set('x-forwarded-for', before === undefined ? ownAddress : `${before},${ownAddress}`);
  own.set('x-envoy-internal', 'true');
  return own;
}
