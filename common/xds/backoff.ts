/** How long to wait before the next connection (ambient-wire 3.7). */
import { status } from '@grpc/grpc-js';
import { type Millis, millis } from '../core/brand.ts';

export const firstDelay = millis(10);
export const longestDelay = millis(15_000);

/** How a connection ended. `reason` is the label of istio_xds_connection_terminations_total. */
export interface Termination {
  readonly reason: 'ConnectionError' | 'Error' | 'Reconnect' | 'Complete';
  readonly detail: string;
}

/** `connected`: the server had answered the call at all. */
export function classify(code: status, details: string, connected: boolean): Termination {
  const detail = `${status[code] ?? code}: ${details}`;
  if (code === status.OK) return { reason: 'Complete', detail: 'the server ended the stream' };
  if (isReconnect(code, details)) return { reason: 'Reconnect', detail };
  return { reason: connected ? 'Error' : 'ConnectionError', detail };
}

/** Ends that a server makes on purpose, such as the age limit of a connection. */
function isReconnect(code: status, details: string): boolean {
  switch (code) {
    case status.UNKNOWN:
    case status.CANCELLED:
    case status.DEADLINE_EXCEEDED:
      return true;
    case status.UNAVAILABLE:
      return details.includes('transport is closing') || details.includes('received prior goaway');
    default:
      return false;
  }
}

/** The delay after this end, given the one before it. A connection that delivered something starts over. */
export function nextDelay(previous: Millis | undefined, end: Termination, delivered: boolean): Millis {
  if (previous === undefined || delivered || end.reason === 'Reconnect') return firstDelay;
  return millis(Math.min(previous * 2, longestDelay));
}
