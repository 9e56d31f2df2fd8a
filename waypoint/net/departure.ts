/** How a connection came to its end, as Envoy's counters tell ends apart. */

export interface Departure {
  /** Who closed it first. */
  readonly by: 'us' | 'peer';
  /** A request was under way, or in the case of bytes anybody held it. */
  readonly isBusy: boolean;
}
