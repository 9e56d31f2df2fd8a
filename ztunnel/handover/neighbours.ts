/**
 * The other node proxies of this node, while an old pod and a new one stand side by side. Each listens in a folder of the host. One that serves
 * what the agent told it calls at those that it finds there; the last that has called is who gets the open connections of one that drains.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Fd } from '../../common/core/brand.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import {
  isNativeError,
  type SeqpacketConnection,
  type SeqpacketListener,
  seqpacketConnect,
  seqpacketListen,
} from '../../native/index.ts';
import { count, object, oneOf } from './shape.ts';

/** What the two supervisors say to each other. Workers compare what they can read themselves. */
const version = 1;
const versions = count(2 ** 32 - 1);
const calling = object({ kind: oneOf('serves'), version: versions });
const taking = object({ kind: oneOf('take'), place: count(1_023) });

/** Of whom calls: it serves the pods. */
export const serves = (own: number = version): Uint8Array => encode({ kind: 'serves', version: own });
/** To whom called; with one end of a socket pair, at whose other end the worker of that place gives its open connections away. */
export const take = (place: number): Uint8Array => encode({ kind: 'take', place });

/** Sends the end of a line to the worker that shall go on. The caller keeps its descriptor. */
export type Heir = (place: number, line: Fd) => void;

export interface NeighboursOptions {
  /** Made where it is missing, for its owner alone. */
  readonly folder: string;
  /** A worker of this proxy goes on with what comes along the line. Takes the descriptor over. */
  readonly takeOver: (place: number, line: Fd) => void;
  readonly closeFd: (fd: Fd) => void;
  readonly log: Logger;
}

export class Neighbours {
  readonly #options: NeighboursOptions;
  readonly #name = `${randomBytes(8).toString('hex')}.sock`;
  /** Those that called, the last one last. */
  readonly #callers = new Set<SeqpacketConnection>();
  /** Where this one called, by the name of the socket. */
  readonly #called = new Map<string, SeqpacketConnection>();
  readonly #stopListening: () => void;

  /** Listens. Throws where the folder or its socket cannot be made. */
  constructor(options: NeighboursOptions) {
    this.#options = options;
    const { folder } = options;
    // Under its name only once it listens: a socket that refuses is taken for a dead one's.
    const hidden = join(folder, `.${this.#name}`);
    const listener = listenIn(folder, hidden);
    listener.onConnection((connection) => this.#answer(connection));
    renameSync(hidden, join(folder, this.#name));
    this.#stopListening = () => {
      listener.close();
      rmSync(join(folder, this.#name), { force: true });
      removeEmpty(folder);
    };
  }

  /** This proxy serves the pods: calls at all others that it has not called at. */
  call(): void {
    const { folder, log } = this.#options;
    for (const name of readdirSync(folder)) {
      if (!name.endsWith('.sock') || name.startsWith('.') || name === this.#name || this.#called.has(name)) continue;
      try {
        this.#callAt(name);
      } catch (e) {
        if (isNativeError(e) && e.code === 'ECONNREFUSED') rmSync(join(folder, name), { force: true });
        else log.warn('cannot call at another proxy of this node', { socket: name, error: describeError(e) });
      }
    }
  }

  /** This proxy drains: nobody calls any more, nobody counts on it, and who called last goes on. Nobody may be there. */
  retire(): Heir | undefined {
    this.#stopListening();
    for (const connection of this.#called.values()) connection.close();
    const heir = [...this.#callers].at(-1);
    return heir && ((place, line) => heir.send(take(place), [line]));
  }

  /** After `retire`, when everything was given away. */
  close(): void {
    for (const connection of this.#callers) connection.close();
  }

  #answer(connection: SeqpacketConnection): void {
    const { closeFd, log } = this.#options;
    connection.onClose(() => this.#callers.delete(connection));
    connection.onPacket(({ data, fds }) => {
      ours(connection);
      const read = calling(JSON.parse(Buffer.from(data).toString()), 'call');
      fds.forEach(closeFd);
      if (read.version === version) {
        this.#callers.add(connection);
        log.info('another proxy of this node serves its pods; open connections go there when this one drains');
        return;
      }
      const error = `it speaks version ${read.version} of the hand-over, this one ${version}`;
      log.warn('another proxy of this node cannot take open connections over; they drain', { error });
      connection.close();
    });
  }

  #callAt(name: string): void {
    const { folder, takeOver, log } = this.#options;
    const connection = seqpacketConnect(join(folder, name));
    this.#called.set(name, connection);
    connection.onClose((error) => {
      this.#called.delete(name);
      if (error) log.warn('another proxy of this node hung up', { error: describeError(error) });
    });
    connection.onPacket(({ data, fds }) => {
      ours(connection);
      const { place } = taking(JSON.parse(Buffer.from(data).toString()), 'message');
      const [line] = fds;
      if (line === undefined || fds.length > 1) {
        throw new MeshError('PROTOCOL', `a line of place ${place} came with ${fds.length} descriptors`);
      }
      takeOver(place, line);
    });
    connection.send(serves());
  }
}

/** In a folder that is made where it is missing; who leaves last removes it, perhaps between these two steps. */
function listenIn(folder: string, path: string): SeqpacketListener {
  for (let tries = 1; ; tries++) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    try {
      return seqpacketListen(path);
    } catch (e) {
      if (!isNativeError(e) || e.code !== 'ENOENT' || tries === 10) throw e;
    }
  }
}

/** A node without a mesh is as it was before. */
function removeEmpty(folder: string): void {
  try {
    rmdirSync(folder);
  } catch (e) {
    const { code } = e as NodeJS.ErrnoException;
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw e;
  }
}

/** MeshError PROTOCOL. Pids mean nothing here, since each pod has its own. */
function ours({ peer }: SeqpacketConnection): void {
  const uid = process.geteuid!();
  if (peer.uid !== uid) throw new MeshError('PROTOCOL', `user ${peer.uid} is not that of this proxy, ${uid}`);
}

function encode(message: object): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}
