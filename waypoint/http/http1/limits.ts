/**
 * What one connection of HTTP/1 may cost before others have their turn, in about microseconds: a client that sends requests on without waiting
 * for answers, and gets those at once, would have the loop to itself for as long as all take that were read of its socket.
 */
export const turnWork = 1_500;
/** Of a request, and the bytes of a head that cost 1 besides. */
export const requestWork = 40;
export const headBytesWork = 32;
/** Of a chunk, besides its bytes. */
export const chunkWork = 0.25;
