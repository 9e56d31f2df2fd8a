/** What keeps HTTP/2 peers in bounds, both roles (reliability 2). */
import { type Millis, millis } from '../../../common/core/brand.ts';
import type { HeadLimits } from '../http1/head.ts';

export interface Http2Settings extends HeadLimits {
  /** SETTINGS_MAX_CONCURRENT_STREAMS that we announce, or use at most. */
  readonly streams: number;
  readonly streamWindow: number;
  readonly connectionWindow: number;
  /** SETTINGS_HEADER_TABLE_SIZE that we announce. */
  readonly headerTable: number;
  readonly keepalive: { readonly interval: Millis; readonly timeout: Millis } | undefined;
}

/** How long a peer may take for its first SETTINGS, for the rest of a header block, and for the PING between the two GOAWAYs of a drain. */
export const patience = millis(10_000);

/** How long a peer that was told of the end may take to close. */
export const lastWords = millis(1_000);

/** Bytes of a header block before decoding, in times of what the decoded list may have. */
export const blockFactor = 2;
/** Frames of one header block. */
export const mostContinuations = 128;
/** Entries of one SETTINGS frame, as nghttp2's default since CVE-2020-11080; there are less than ten settings. */
export const mostSettings = 32;

/** Bytes of answers and of frames of the connection that may wait for a peer that does not read. */
export const mostUnsent = 1_048_576;

/** Stream window while more is unread than the connection's window promises. */
export const smallWindow = 65_536;

/**
 * What one connection may cost before others have their turn, in about microseconds: Node reads up to 2 MB of a socket at once, and a client
 * that packs requests densely would have the loop to itself for as long as they all take.
 */
export const turnWork = 1_500;
/** Of any frame, of a header block besides, and the bytes of such a block that cost 1. */
export const frameWork = 1;
export const blockWork = 10;
export const blockBytesWork = 64;
/** Requests of one connection that begin in one turn. What is reset before its turn comes has cost little. */
export const begunAtOnce = 8;
/**
 * So many of a new connection begin beside others, and one more for each answer, up to the most; whatever is beyond them begins alone in its turn.
 * Who is answered feels nothing of it, and who holds a hundred requests open makes others wait for one of them at a time.
 */
export const firstTrust = 4;
export const mostTrust = 64;
/** Streams of a client's connection that end with it in one turn: each ends a request, and often a connection to a host, which is up to a millisecond. */
export const lostAtOnce = 1;

/** Frames that bring nobody anything as which a request counts whose head is larger than allowed: one is an accident. */
export const largeNuisance = 20;

/** A stock of 1,000 frames that bring nobody anything, and 200 more each second; one more for each frame that does. */
export class NuisanceBudget {
  static readonly stock = 1_000;
  static readonly perSecond = 200;
  #left = NuisanceBudget.stock;
  #last: number;

  constructor(now: number) {
    this.#last = now;
  }

  /** A frame of use came or went. */
  earn(): void {
    if (this.#left < NuisanceBudget.stock) this.#left++;
  }

  /** False: there were too many. */
  spend(now: number, frames = 1): boolean {
    if (this.#left < NuisanceBudget.stock) {
      const gained = Math.floor(((now - this.#last) * NuisanceBudget.perSecond) / 1_000);
      if (gained > 0) this.#last = now;
      this.#left = Math.min(NuisanceBudget.stock, this.#left + gained);
    } else this.#last = now;
    this.#left -= frames;
    return this.#left >= 0;
  }
}
