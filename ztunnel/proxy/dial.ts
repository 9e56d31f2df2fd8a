/**
 * Connects a socket that was made in a pod's namespace. Node must be told of descriptor and address in the same turn: a
 * socket that failed once would connect again from the worker's own namespace (ebpf-datapath 3), so none is ever used twice.
 */

import { connect } from 'node:net';
import { type Fd, millis } from '../../common/core/brand.ts';
import type { ByteStream } from '../../common/core/byte-stream.ts';
import type { CancelSignal } from '../../common/core/cancel.ts';
import type { Clock } from '../../common/core/clock.ts';
import { MeshError } from '../../common/core/errors.ts';
import { formatSocketAddr, type SocketAddr } from '../../common/core/net.ts';
import type { Ahead } from '../../common/hbone/relay.ts';

/** ms (ambient-wire 1.6). */
export const dialTimeout = 10_000;

/** Takes the descriptor over. MeshError CONNECT_FAILED with the errno as cause, CONNECT_TIMEOUT, CANCELLED, or the permit's reason. */
export type Dial = (
  fd: Fd,
  to: SocketAddr,
  signal: CancelSignal,
  timeoutMs: number,
  ahead?: Ahead,
) => Promise<ByteStream>;

export function dialer(clock: Clock): Dial {
  return (fd, to, signal, timeoutMs) => dial(fd, to, clock, signal, timeoutMs);
}

function dial(fd: Fd, to: SocketAddr, clock: Clock, signal: CancelSignal, timeoutMs: number): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const options = { fd, host: to.ip, port: to.port, allowHalfOpen: true };
    const socket = connect(options);
    const settle = () => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('connect', onConnect);
      socket.removeListener('error', onError);
    };
    const fail = (error: MeshError) => {
      settle();
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const onConnect = () => {
      settle();
      resolve(socket);
    };
    const onError = (cause: NodeJS.ErrnoException) => fail(dialError(to, cause));
    const onAbort = () => fail(new MeshError('CANCELLED', `connecting to ${formatSocketAddr(to)} was given up`));
    const timer = clock.after(millis(timeoutMs), () =>
      fail(new MeshError('CONNECT_TIMEOUT', `connecting to ${formatSocketAddr(to)} took longer than ${timeoutMs} ms`)),
    );
    socket.on('connect', onConnect);
    socket.on('error', onError);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

export function dialError(to: SocketAddr, cause: NodeJS.ErrnoException): MeshError {
  const code = cause.code === 'ETIMEDOUT' ? 'CONNECT_TIMEOUT' : 'CONNECT_FAILED';
  return new MeshError(code, `connecting to ${formatSocketAddr(to)} failed: ${cause.code ?? cause.message}`, { cause });
}
