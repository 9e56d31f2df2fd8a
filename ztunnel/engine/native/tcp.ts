/** TCP of the native engine: listeners, accepted connections, dials. */
import type { Fd } from '../../../common/core/brand.ts';
import { millis } from '../../../common/core/brand.ts';
import type { Clock } from '../../../common/core/clock.ts';
import { MeshError } from '../../../common/core/errors.ts';
import { formatSocketAddr, type Ip, type Port, type SocketAddr } from '../../../common/core/net.ts';
import { command, type EngineEvent, type EngineLoop, event, type Handle, readPieces } from '../../../native/engine.ts';
import { socketName } from '../../../native/index.ts';
import type { Accepted } from '../../proxy/accept.ts';
import { type Dial, dialError } from '../../proxy/dial.ts';
import type { Listener } from '../engine.ts';
import type { PlanMemory } from './memory.ts';
import { relayAhead } from './relay.ts';
import { NativeStream, systemError } from './stream.ts';

export class TcpStream extends NativeStream {
  #onConnected: ((errno: number) => void) | undefined;
  /** By which it was accepted. */
  listener: Handle | undefined;

  /** The descriptor is taken over. `onConnected` is called once, with 0 or the errno. */
  dial(fd: Fd, to: SocketAddr, onConnected: (errno: number) => void): void {
    this.#onConnected = onConnected;
    this.send(command.dial, fd, to.port, 0, Buffer.from(to.ip, 'latin1'));
  }

  override receive(e: EngineEvent): void {
    if (e.type === event.connected) {
      this.stands(e.b !== 0);
      this.#onConnected?.(e.a);
      this.#onConnected = undefined;
    } else {
      super.receive(e);
    }
  }

  /** A tunnel was made of it, under another number. */
  becameTunnel(): void {
    this.handedOver();
  }
}

class NativeAccepted implements Accepted {
  readonly socket: TcpStream;
  readonly fd: Fd;
  readonly remote: SocketAddr;

  constructor(socket: TcpStream, fd: Fd, remote: SocketAddr) {
    this.socket = socket;
    this.fd = fd;
    this.remote = remote;
  }

  // A system call that captured connections mostly need not make.
  get local(): SocketAddr {
    return socketName(this.fd);
  }
}

export function accept(
  loop: EngineLoop,
  memory: PlanMemory,
  fd: Fd,
  onAccepted: (accepted: Accepted) => void,
  onError: (error: Error) => void,
): Listener {
  const receive = (e: EngineEvent) => {
    switch (e.type) {
      case event.accepted: {
        const [ip, port] = readPieces(e.bytes).map((piece) => piece.toString('latin1')) as [Ip, string];
        const socket = new TcpStream(loop, { slot: e.a, generation: e.b });
        socket.listener = handle;
        onAccepted(new NativeAccepted(socket, e.c as Fd, { ip, port: Number(port) as Port }));
        break;
      }
      case event.acceptFailed:
        onError(systemError(e.a, 'accept'));
        break;
      case event.closed:
        loop.forget(handle);
        break;
    }
  };
  const handle = loop.name({ receive });
  loop.send(command.listen, handle, fd);
  let closed = false;
  return {
    close() {
      // Who was accepted before is still handed over.
      if (closed) return;
      memory.drop(command.planOut, handle);
      loop.send(command.close, handle);
      closed = true;
    },
  };
}

export function nativeDialer(loop: EngineLoop, clock: Clock): Dial {
  return (fd, to, signal, timeoutMs, ahead) =>
    new Promise((resolve, reject) => {
      const stream = new TcpStream(loop);
      const settle = () => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        ahead?.permit.removeEventListener('abort', onWithdrawn);
      };
      const fail = (error: MeshError) => {
        settle();
        stream.destroy();
        reject(error);
      };
      const onAbort = () => fail(new MeshError('CANCELLED', `connecting to ${formatSocketAddr(to)} was given up`));
      const onWithdrawn = () => fail(ahead!.permit.reason as MeshError);
      const timer = clock.after(millis(timeoutMs), () =>
        fail(
          new MeshError('CONNECT_TIMEOUT', `connecting to ${formatSocketAddr(to)} took longer than ${timeoutMs} ms`),
        ),
      );
      stream.dial(fd, to, (errno) => {
        if (errno !== 0) return fail(dialError(to, systemError(errno, 'connect')));
        settle();
        resolve(stream);
      });
      if (ahead) {
        relayAhead(stream, ahead);
        ahead.permit.addEventListener('abort', onWithdrawn, { once: true });
      }
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      else if (ahead?.permit.aborted) onWithdrawn();
    });
}
