/** How clients that are gone without a word are told from those that are idle. */
import { type Millis, millis } from '../../common/core/brand.ts';

export interface Keepalive {
  /** Of silence until the client is asked for a sign of life. */
  readonly interval: Millis;
  /** For its answer. */
  readonly timeout: Millis;
}

/** Istio's. */
export const defaultKeepalive: Keepalive = { interval: millis(30_000), timeout: millis(10_000) };
