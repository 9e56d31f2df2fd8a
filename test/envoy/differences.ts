/** Where our waypoint differs from Envoy and shall: read by every comparison. At most 20, none in authorization, routing or status. */
import type { Observed, Request } from './world.ts';

export interface Difference {
  readonly what: string;
  readonly reason: string;
  /** Takes the difference out of a pair of observations, where the request meets it. */
  level(request: Request, envoy: Observed, ours: Observed): readonly [Observed, Observed] | undefined;
}

/** Of what requests see: so far there is none. */
export const differences: readonly Difference[] = [];

const dialledLate =
  'Envoy asks who comes when the first bytes do, and has reached for the service by then; ours refuses before, so that nothing is dialled for who may not.';
const dialled = /\.upstream_(cx_total|cx_destroy.*|rq_pending_total|rq_total)$/;

/** Of counters, in cases of these names. */
export const countedElse: readonly { readonly name: string; readonly reason: string; readonly counter: RegExp }[] = [
  { name: 'connections: by whom, not by what they say', reason: dialledLate, counter: dialled },
  { name: 'CUSTOM of connections without requests is refused', reason: dialledLate, counter: dialled },
];

const halves =
  'TCP has two directions, and a tunnel stands for a connection of TCP: what one side still says after the other has ended arrives, as without a mesh; Envoy ends both, and loses it.';

/** Of tunnels (tunnels.test.ts): what becomes of the side that has not ended. */
export const tunnelledElse: readonly {
  readonly name: string;
  readonly reason: string;
  readonly envoy: string;
  readonly ours: string;
}[] = [
  { name: 'HTTP/1.1: the client ends', reason: halves, envoy: 'is closed', ours: 'hears the server' },
  { name: 'HTTP/1.1: the server ends', reason: halves, envoy: 'is closed', ours: 'hears the client' },
  { name: 'HTTP/2: the server ends', reason: halves, envoy: 'is closed', ours: 'hears the client' },
];
