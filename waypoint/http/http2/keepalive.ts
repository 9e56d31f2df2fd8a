/** PINGs as connection_keepalive asks for them. */
import type { Http2Session } from 'node:http2';
import type { Clock } from '../../../common/core/clock.ts';
import type { Http2Settings } from './limits.ts';

/** `onDead`: no PONG came in time. */
export function pingRegularly(
  session: Http2Session,
  keepalive: NonNullable<Http2Settings['keepalive']>,
  clock: Clock,
  onDead: () => void,
): void {
  const ping = () => {
    if (session.destroyed) return;
    if (session.closed) {
      // Node sends no PING on a session that is closing.
      timer = clock.after(keepalive.interval, ping);
      return;
    }
    timer = clock.after(keepalive.timeout, onDead);
    session.ping(() => {
      timer.cancel();
      timer = clock.after(keepalive.interval, ping);
    });
  };
  let timer = clock.after(keepalive.interval, ping);
  session.once('close', () => timer.cancel());
}
