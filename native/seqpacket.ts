/** SOCK_SEQPACKET unix sockets with SCM_RIGHTS on Node's event loop: ZDS and the link from supervisor to workers. */
import type { Fd } from '../common/core/brand.ts';
import { addon } from './addon.ts';
import { closeFd } from './sock.ts';

/** Largest packet, bytes. */
export const maxPacketBytes = 128 * 1024;

/** One packet of a SOCK_SEQPACKET connection. The receiver owns the descriptors; they are CLOEXEC. */
export interface Packet {
  readonly data: Uint8Array;
  readonly fds: readonly Fd[];
}

/** As they were when the connection was made. */
export interface PeerCredentials {
  /** 0 when the process is in a pid namespace that this one does not see. */
  readonly pid: number;
  readonly uid: number;
}

export interface SeqpacketConnection {
  /** Who connected, for the side that accepted; who listens, for the side that connected (SO_PEERCRED). */
  readonly peer: PeerCredentials;
  /**
   * 1 to 131,072 bytes and at most 253 descriptors; they are duplicated into the packet, the caller keeps its own. Queues while
   * the peer is slow. Does nothing after close.
   */
  send(data: Uint8Array, fds?: readonly Fd[]): void;
  /**
   * Reading starts here. A handler that throws must have taken none of the packet's descriptors: they are closed, and so is the
   * connection, with that error.
   */
  onPacket(handler: (packet: Packet) => void): void;
  /** Called once, on end of file (behind all that the peer had sent), an error or close(); then nothing more arrives. */
  onClose(handler: (error: Error | undefined) => void): void;
  /** What is still queued is lost. */
  close(): void;
  /** Lets the process end although the connection is open. */
  unref(): void;
}

export interface SeqpacketEnd extends SeqpacketConnection {
  /**
   * As `send`, but never queues: `sent` means that the kernel has it for the peer, which may read it even if this process ends now.
   * `full`: the peer is slow, or something is queued before it. `gone`: nobody will read it. Throws NativeError for a descriptor
   * that is none.
   */
  trySend(data: Uint8Array, fds?: readonly Fd[]): 'sent' | 'full' | 'gone';
}

export interface SeqpacketListener {
  onConnection(handler: (connection: SeqpacketConnection) => void): void;
  close(): void;
  /** Lets the process end although the listener is open. */
  unref(): void;
}

const readable = 1;
const writable = 2;

/** Listens on a path, replacing a socket that an earlier process left there. Mode 0600. */
export function seqpacketListen(path: string): SeqpacketListener {
  const fd = addon().seqpacketListen(path) as Fd;
  let handler: ((connection: SeqpacketConnection) => void) | undefined;
  let open = true;
  const accept = () => {
    for (;;) {
      const accepted = addon().acceptSocket(fd);
      if (accepted === undefined) return;
      handler!(seqpacketFromFd(accepted as Fd));
      if (!open) return;
    }
  };
  const poll = new (addon().Poll)(fd, accept);
  return {
    onConnection(h) {
      handler = h;
      poll.watch(readable);
    },
    close() {
      if (!open) return;
      open = false;
      poll.close();
      closeFd(fd);
    },
    unref: () => poll.unref(),
  };
}

export function seqpacketConnect(path: string): SeqpacketConnection {
  return seqpacketFromFd(addon().seqpacketConnect(path) as Fd);
}

/** Two connected ends, for a child to inherit one (see spawn's `stdio`). */
export function seqpacketPair(): [Fd, Fd] {
  return addon().seqpacketPair() as [Fd, Fd];
}

/** Takes the descriptor over: it is closed with the connection. */
export function seqpacketFromFd(fd: Fd): SeqpacketEnd {
  return new Connection(fd);
}

class Connection implements SeqpacketEnd {
  readonly peer: PeerCredentials;
  readonly #fd: Fd;
  readonly #poll;
  /** Descriptors in the queue are our own duplicates: the caller may close its own at once. */
  readonly #queue: Packet[] = [];
  #packetHandler: ((packet: Packet) => void) | undefined;
  #closeHandler: ((error: Error | undefined) => void) | undefined;
  /** Why nothing can be sent any more; what the peer had sent before is still read. */
  #unheard: Error | undefined;
  /** Set once closed. */
  #closed: { readonly error: Error | undefined } | undefined;

  constructor(fd: Fd) {
    this.#fd = fd;
    this.peer = addon().peerCredentials(fd);
    this.#poll = new (addon().Poll)(fd, (status, events) => this.#onReady(status, events));
    this.#watch();
  }

  send(data: Uint8Array, fds: readonly Fd[] = []): void {
    checkSize(data);
    if (this.#closed || this.#unheard) return;
    try {
      if (this.#queue.length === 0 && addon().sendPacket(this.#fd, data, fds)) return;
    } catch (e) {
      // The peer is gone: whoever sends learns it from onClose, as with every other end of the connection.
      this.#cannotSend(e as Error);
      return;
    }
    this.#queue.push({ data: Uint8Array.from(data), fds: fds.map((f) => addon().dupFd(f) as Fd) });
    this.#watch();
  }

  trySend(data: Uint8Array, fds: readonly Fd[] = []): 'sent' | 'full' | 'gone' {
    checkSize(data);
    if (this.#closed || this.#unheard) return 'gone';
    if (this.#queue.length > 0) return 'full';
    try {
      return addon().sendPacket(this.#fd, data, fds) ? 'sent' : 'full';
    } catch (e) {
      const { code } = e as NodeJS.ErrnoException;
      // A process without CAP_SYS_RESOURCE may have no more descriptors on the way than it may open (unix(7)).
      if (code === 'ETOOMANYREFS') return 'full';
      if (code !== 'EPIPE' && code !== 'ECONNRESET') throw e;
      this.#cannotSend(e as Error);
      return 'gone';
    }
  }

  onPacket(handler: (packet: Packet) => void): void {
    this.#packetHandler = handler;
    this.#watch();
  }

  onClose(handler: (error: Error | undefined) => void): void {
    this.#closeHandler = handler;
    if (this.#closed) this.#reportClose();
  }

  close(): void {
    this.#close(undefined);
  }

  unref(): void {
    this.#poll.unref();
  }

  #watch(): void {
    if (this.#closed) return;
    this.#poll.watch((this.#packetHandler ? readable : 0) | (this.#queue.length > 0 ? writable : 0));
  }

  #onReady(status: number, events: number): void {
    try {
      if (events & writable) this.#flush();
      // A peer that ended without reading all of ours shows as an error of the descriptor, with its last words behind it.
      if (events & readable || (status < 0 && this.#packetHandler)) this.#receive();
      if (status < 0) throw new Error(`polling a seqpacket connection failed with ${status}`);
    } catch (e) {
      this.#close(e as Error);
    }
  }

  #cannotSend(error: Error): void {
    this.#unheard = error;
    this.#dropQueue();
    if (this.#packetHandler) this.#watch();
    else this.#close(error);
  }

  #flush(): void {
    try {
      for (;;) {
        const packet = this.#queue[0];
        if (packet === undefined || !addon().sendPacket(this.#fd, packet.data, packet.fds)) break;
        this.#queue.shift();
        packet.fds.forEach(closeFd);
      }
    } catch (e) {
      this.#cannotSend(e as Error);
    }
    this.#watch();
  }

  #receive(): void {
    while (!this.#closed) {
      const packet = addon().receivePacket(this.#fd) as Packet | undefined | null;
      if (packet === undefined) return;
      if (packet === null) {
        this.#close(this.#unheard);
        return;
      }
      try {
        this.#packetHandler!(packet);
      } catch (e) {
        packet.fds.forEach(closeFd);
        throw e;
      }
    }
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = { error };
    this.#poll.close();
    closeFd(this.#fd);
    this.#dropQueue();
    this.#reportClose();
  }

  #dropQueue(): void {
    for (const packet of this.#queue.splice(0)) packet.fds.forEach(closeFd);
  }

  /** In a turn of its own: whoever calls send() or close() is not called back from inside. */
  #reportClose(): void {
    const handler = this.#closeHandler;
    if (!handler || !this.#closed) return;
    const { error } = this.#closed;
    this.#closeHandler = undefined;
    setImmediate(() => handler(error));
  }
}

function checkSize({ length }: Uint8Array): void {
  if (length > 0 && length <= maxPacketBytes) return;
  throw new Error(`a packet of ${length} bytes cannot be sent; 1 to ${maxPacketBytes} are possible`);
}
