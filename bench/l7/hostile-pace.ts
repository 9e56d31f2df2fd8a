/**
 * How much a hostile client sends. Peer and good clients share two cores with the waypoint: a peer without a bound would take them all, and
 * the neighbours would wait for a core whatever the waypoint does.
 */

/** Ms between what is sent at once. */
export const pause = 10;

/** Frames or requests: 2,000 a second. */
export const partsAtOnce = 20;

/** 10 MB a second; a part that is larger goes whole. */
export const bytesAtOnce = 100_000;

export const paceWords = `a hostile client sends at most ${(partsAtOnce * 1_000) / pause} frames or requests and about ${
  (bytesAtOnce * 1_000) / pause / 1e6
} MB a second, on one connection at a time, and comes again ${pause} ms after it was cut off`;
