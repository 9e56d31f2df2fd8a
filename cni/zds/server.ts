/**
 * The agent's end of ZDS: every ztunnel that connects gets a snapshot; later adds go to the newest ztunnel only, deletions to
 * all (ambient-wire 6.4), since the older ones are being replaced. The newest is the process that started last: after a restart of the
 * agent they all connect anew, and one that is to end may be the last to come.
 */
import { type Fd, millis } from '../../common/core/brand.ts';
import type { Clock, Timer } from '../../common/core/clock.ts';
import { assertNever, describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { WorkloadInfo, ZdsAck } from '../../common/zds/types.ts';
import type { SeqpacketConnection, SeqpacketListener } from '../../native/index.ts';
import { ZdsSession } from './session.ts';

export type SnapshotEntry =
  | {
      readonly kind: 'add';
      readonly info: WorkloadInfo;
      /** Asked once more when the packet is sent; undefined leaves the pod out. */
      readonly netns: () => Fd | undefined;
      readonly onAck: (ack: ZdsAck) => void;
    }
  | { readonly kind: 'keep' };

export interface ZdsServerOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** A ztunnel has said hello; before it is told of any pod. MeshError: it is turned away. */
  readonly onHello: (pid: number) => void;
  /** When a process started, on any clock that is the same for all; equal where it is not known. */
  readonly startedAt: (pid: number) => number;
  /** UIDs. Resolves once the agent knows which pods there are: a snapshot without them would end their proxies. */
  readonly snapshot: () => Promise<readonly string[]>;
  /** Asked when it is this pod's turn; undefined when it is gone. */
  readonly entry: (uid: string) => SnapshotEntry | undefined;
  /** There is another newest ztunnel, or it has got its snapshot. What an earlier one acked says nothing about this one. */
  readonly onNewest: (ready: boolean) => void;
  /** A ztunnel sent what breaks the protocol. */
  readonly onRefused: () => void;
}

/** As Istio's agent, so that a ztunnel that fails over and over cannot occupy it. */
const acceptsPerSecond = 5;
/** More than wait here are turned away. */
const waitingConnections = 32;

export class ZdsServer {
  readonly #options: ZdsServerOptions;
  /** With the start of their processes, in the order in which they came. */
  readonly #sessions = new Map<ZdsSession, number>();
  /** Those that have had their snapshot. */
  readonly #ready = new Set<ZdsSession>();
  /** Those that are being told. */
  readonly #telling = new Set<ZdsSession>();
  readonly #waiting: SeqpacketConnection[] = [];
  #listener: SeqpacketListener | undefined;
  #accepted = 0;
  #window: Timer | undefined;

  constructor(options: ZdsServerOptions) {
    this.#options = options;
  }

  start(listener: SeqpacketListener): void {
    this.#listener = listener;
    listener.onConnection((connection) => this.#accept(connection));
  }

  stop(): void {
    this.#listener?.close();
    this.#window?.cancel();
    for (const connection of this.#waiting.splice(0)) connection.close();
    for (const session of [...this.#sessions.keys()]) session.close('the agent is stopping');
  }

  /** A ztunnel is connected, and has its snapshot. */
  get ready(): boolean {
    const newest = this.#newest();
    return newest !== undefined && this.#ready.has(newest);
  }

  /**
   * Asks the newest ztunnel to serve a pod. Rejects with MeshError when there is none, or when it goes away; resolves with
   * undefined when `netns` says that the pod is gone.
   */
  async add(uid: string, info: WorkloadInfo, netns: () => Fd | undefined): Promise<ZdsAck | undefined> {
    const newest = this.#newest();
    if (newest === undefined || !this.#ready.has(newest)) throw new MeshError('CANCELLED', 'no ztunnel is connected');
    const ack = await newest.request({ kind: 'add', uid, info }, () => one(netns()));
    if (newest !== this.#newest()) throw new MeshError('CANCELLED', 'another ztunnel has taken over');
    return ack;
  }

  /** Does not wait: each connection keeps the order of requests. */
  del(uid: string): void {
    for (const session of this.#sessions.keys()) {
      session.request({ kind: 'del', uid }).then(
        (ack) => {
          if (ack?.error) this.#options.log.warn('ztunnel did not delete a pod', { uid, error: ack.error });
        },
        // An ended connection needs no deletion: the next snapshot leaves the pod out.
        (e) => this.#options.log.debug('deletion of a pod was not sent', { uid, error: describeError(e) }),
      );
    }
  }

  /** This process is connected, and a newer ztunnel is too: traffic is no longer its to steer. */
  isReplaced(pid: number): boolean {
    return this.#newest()?.pid !== pid && [...this.#sessions.keys()].some((session) => session.pid === pid);
  }

  #newest(): ZdsSession | undefined {
    let newest: ZdsSession | undefined;
    let latest = Number.NEGATIVE_INFINITY;
    for (const [session, startedAt] of this.#sessions) {
      if (startedAt < latest) continue;
      [newest, latest] = [session, startedAt];
    }
    return newest;
  }

  #accept(connection: SeqpacketConnection): void {
    if (this.#accepted < acceptsPerSecond) {
      this.#accepted++;
      this.#window ??= this.#options.clock.after(millis(1_000), () => this.#nextWindow());
      this.#open(connection);
    } else if (this.#waiting.length < waitingConnections) {
      this.#waiting.push(connection);
    } else {
      this.#options.log.warn('too many connections of ztunnels are waiting; one was turned away');
      connection.close();
    }
  }

  #nextWindow(): void {
    this.#window = undefined;
    this.#accepted = 0;
    for (const connection of this.#waiting.splice(0)) this.#accept(connection);
  }

  #open(connection: SeqpacketConnection): void {
    new ZdsSession({
      connection,
      clock: this.#options.clock,
      log: this.#options.log,
      onRefused: this.#options.onRefused,
      onHello: (session) => {
        try {
          this.#options.onHello(session.pid);
        } catch (e) {
          session.refuse(describeError(e));
          return;
        }
        this.#sessions.set(session, this.#options.startedAt(session.pid));
        const isNewest = session === this.#newest();
        this.#options.log.info('ztunnel connected', isNewest ? {} : { replaced: true });
        // One that is replaced keeps what it has.
        if (isNewest) this.#takeOver(session);
      },
      onClose: (session) => {
        const wasNewest = session === this.#newest();
        this.#sessions.delete(session);
        this.#ready.delete(session);
        if (!wasNewest) return;
        const next = this.#newest();
        if (next !== undefined && !this.#ready.has(next)) return this.#takeOver(next);
        this.#options.onNewest(false);
        if (next !== undefined) this.#options.onNewest(true);
      },
    });
  }

  #takeOver(session: ZdsSession): void {
    this.#options.onNewest(false);
    // It became the newest again before it noticed.
    if (this.#telling.has(session)) return;
    this.#telling.add(session);
    void this.#sendSnapshot(session).finally(() => this.#telling.delete(session));
  }

  async #sendSnapshot(session: ZdsSession): Promise<void> {
    try {
      for (const uid of await this.#options.snapshot()) {
        // A still newer one has its own snapshot; this one keeps what it has.
        if (session !== this.#newest()) return;
        const entry = this.#options.entry(uid);
        if (entry !== undefined) await this.#sendEntry(session, uid, entry);
      }
      await session.request({ kind: 'snapshotSent' });
    } catch (e) {
      // The session has reported why it ended.
      this.#options.log.debug('the snapshot was not completed', { error: describeError(e) });
      return;
    }
    this.#ready.add(session);
    if (session === this.#newest()) this.#options.onNewest(true);
  }

  async #sendEntry(session: ZdsSession, uid: string, entry: SnapshotEntry): Promise<void> {
    switch (entry.kind) {
      case 'keep':
        await session.request({ kind: 'keep', uid });
        return;
      case 'add': {
        const ack = await session.request({ kind: 'add', uid, info: entry.info }, () => one(entry.netns()));
        if (ack !== undefined && session === this.#newest()) entry.onAck(ack);
        return;
      }
      default:
        assertNever(entry);
    }
  }
}

function one(netns: Fd | undefined): readonly Fd[] | undefined {
  return netns === undefined ? undefined : [netns];
}
