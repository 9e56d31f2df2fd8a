/** Numbers of HTTP/2 (RFC 9113 6, 7; RFC 8441), and the two ways in which a peer can be wrong. */

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const;

export const setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
  maxHeaderListSize: 6,
  enableConnectProtocol: 8,
} as const;

export const errorCode = {
  noError: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  enhanceYourCalm: 11,
} as const;

/** Error codes of RST_STREAM, by why we reset. */
export const resetCodes = {
  cancel: errorCode.cancel,
  internal: errorCode.internal,
  protocol: errorCode.protocol,
} as const;

export const headBytes = 9;
/** SETTINGS_MAX_FRAME_SIZE that we announce by saying nothing, and use at most. */
export const maxFrame = 16_384;
/** SETTINGS_INITIAL_WINDOW_SIZE where nothing was said, and a connection's window at its start. */
export const defaultWindow = 65_535;
export const maxWindow = 2 ** 31 - 1;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

/** What ends the connection (RFC 9113 5.4.1). */
export class ConnectionError extends Error {
  readonly code: number;

  constructor(code: number, detail: string) {
    super(detail);
    this.code = code;
  }
}
