/**
 * Stands between two node proxies of one machine as the host's folder lets any process of root: the one that drains takes it for its
 * successor, the one that takes over for its predecessor. It passes on what they say, and a test does something at a word of its choice.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../../common/testing/until.ts';
import {
  closeFd,
  type Packet,
  type SeqpacketConnection,
  seqpacketConnect,
  seqpacketFromFd,
  seqpacketListen,
  seqpacketPair,
} from '../../native/index.ts';
import { serves, take } from '../../ztunnel/handover/neighbours.ts';

export type Word = 'hello' | 'part' | 'offer' | 'commit' | 'accept' | 'refuse';

/** A word of a worker to the other, before it has been passed on. */
export interface Heard {
  readonly word: Word;
  /** How often it was said, with this time. */
  readonly times: number;
  /** Passes it on; otherwise it is lost. */
  pass(): void;
  /** Both lines end, as they do when one of the workers has ended. */
  hangUp(): void;
}

type Line = ReturnType<typeof seqpacketFromFd>;

export class BetweenProxies {
  readonly #folder: string;
  readonly #listener;
  readonly #open: SeqpacketConnection[] = [];
  #successor: SeqpacketConnection | undefined;

  /** `zdsPath`: of both proxies. */
  constructor(zdsPath: string) {
    this.#folder = `${zdsPath}.handover`;
    this.#listener = seqpacketListen(join(this.#folder, 'between.sock'));
    this.#listener.onConnection((connection) => {
      this.#open.push(connection);
      connection.onPacket(() => {
        this.#successor = connection;
      });
    });
  }

  get sockets(): readonly string[] {
    return readdirSync(this.#folder).filter((name) => name.endsWith('.sock') && name !== 'between.sock');
  }

  /** Resolves when a proxy has called here, which then takes over. */
  async called(): Promise<void> {
    await until('the call of the proxy that takes over', () => this.#successor);
  }

  /** Calls at the proxy that has this socket, and answers its workers. */
  callAt(socket: string, answer: (line: Line) => void): void {
    const connection = seqpacketConnect(join(this.#folder, socket));
    this.#open.push(connection);
    connection.onPacket(({ fds }) => {
      const line = seqpacketFromFd(fds[0]!);
      this.#open.push(line);
      answer(line);
    });
    connection.onClose(() => undefined);
    connection.send(serves());
  }

  /** For `callAt`: the proxy that called goes on with what comes along the line. */
  passOn(onWord: (heard: Heard) => void): (giver: Line) => void {
    return (giver) => {
      const [here, there] = seqpacketPair();
      this.#successor!.send(take(0), [there]);
      closeFd(there);
      const taker = seqpacketFromFd(here);
      this.#open.push(taker);
      const hangUp = () => {
        giver.close();
        taker.close();
      };
      const times = new Map<Word, number>();
      const listen = (from: Line, to: Line) => {
        from.onClose(hangUp);
        from.onPacket(({ data, fds }: Packet) => {
          const word = JSON.parse(Buffer.from(data).toString()).kind as Word;
          times.set(word, (times.get(word) ?? 0) + 1);
          onWord({ word, times: times.get(word)!, pass: () => to.send(data, fds), hangUp });
          fds.forEach(closeFd);
        });
      };
      listen(giver, taker);
      listen(taker, giver);
    };
  }

  close(): void {
    this.#listener.close();
    for (const connection of this.#open) connection.close();
  }
}
