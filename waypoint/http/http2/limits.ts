/** What keeps HTTP/2 peers in bounds, both roles (reliability 2). */
import { constants } from 'node:http2';
import type { Millis } from '../../../common/core/brand.ts';
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

export const sessionLimits = {
  // MiB; counts every queued frame.
  maxSessionMemory: 64,
  maxSettings: 16,
  maxSessionInvalidFrames: 10,
  maxOutstandingPings: 10,
  streamResetBurst: 1_000,
  streamResetRate: 1_000,
} as const;

/** Error codes of RST_STREAM, by why we reset. */
export const resetCodes = {
  cancel: constants.NGHTTP2_CANCEL,
  internal: constants.NGHTTP2_INTERNAL_ERROR,
  protocol: constants.NGHTTP2_PROTOCOL_ERROR,
} as const;
