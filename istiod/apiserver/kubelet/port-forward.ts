/**
 * portforward.k8s.io: over SPDY, by itself or inside of a WebSocket. For each connection the client opens two streams that carry the
 * same request id: `error`, for one message of ours, and `data`.
 */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { PodRef } from '../../../common/kube/kubelet/requests.ts';
import { SpdySession, type SpdyStream } from '../../../common/kube/spdy/session.ts';
import type { Reply } from '../http/api-request.ts';
import type { Kubelet } from './kubelet.ts';
import { accepted, choose, type Upgrade } from './upgrade.ts';
import { webSocketTunnel } from './websocket/tunnel.ts';

const protocol = 'portforward.k8s.io';
const tunnelled = `SPDY/3.1+${protocol}`;
/** Ms for the second stream of a pair. */
const pairTime = 30_000;

export interface PortForwardCall {
  readonly upgrade: Upgrade;
  readonly kubelet: Kubelet;
  readonly pod: PodRef;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

export function callPortForward(call: PortForwardCall): Reply {
  const { upgrade } = call;
  const chosen = choose(upgrade, [upgrade.kind === 'spdy' ? protocol : tunnelled]);
  return {
    kind: 'upgrade',
    accept(socket, head) {
      if (head.length > 0) socket.unshift(head);
      socket.write(accepted(upgrade, chosen));
      const forwarding = new Forwarding(call);
      const session = new SpdySession(upgrade.kind === 'spdy' ? socket : webSocketTunnel(socket), (stream) =>
        forwarding.take(stream),
      );
      session
        .read()
        .then(() => session.close())
        .catch((e: unknown) =>
          call.log.debug('a port-forward was cut', { pod: call.pod.name, error: describeError(e) }),
        )
        .finally(() => forwarding.close());
    },
  };
}

interface Waiting {
  readonly stream: SpdyStream;
  readonly late: NodeJS.Timeout;
}

class Forwarding {
  readonly #call: PortForwardCall;
  readonly #over = new AbortController();
  /** By request id: the first stream of a pair. */
  readonly #waiting = new Map<string, Waiting>();

  constructor(call: PortForwardCall) {
    this.#call = call;
  }

  take(stream: SpdyStream): void {
    const { headers, channel } = stream;
    const id = headers.get('requestid') ?? '';
    const type = headers.get('streamtype');
    if (type !== 'data' && type !== 'error') {
      channel.destroy(new Error(`a stream of type ${JSON.stringify(type)}`));
      return;
    }
    const first = this.#waiting.get(id);
    if (first === undefined) {
      const late = setTimeout(() => {
        this.#waiting.delete(id);
        channel.destroy(new Error('the other stream of the pair did not come'));
      }, pairTime);
      this.#waiting.set(id, { stream, late });
      return;
    }
    clearTimeout(first.late);
    this.#waiting.delete(id);
    if (first.stream.headers.get('streamtype') === type) {
      for (const c of [first.stream.channel, channel])
        c.destroy(new Error(`two streams of type ${type} for one request`));
      return;
    }
    const [data, error] = type === 'data' ? [channel, first.stream.channel] : [first.stream.channel, channel];
    void this.#forward(headers.get('port') ?? '', data, error);
  }

  close(): void {
    this.#over.abort();
    for (const { late } of this.#waiting.values()) clearTimeout(late);
    this.#waiting.clear();
  }

  async #forward(portText: string, data: Duplex, error: Duplex): Promise<void> {
    // The client ends it at once and says nothing.
    error.resume();
    try {
      await this.#relay(portText, data);
      error.end();
    } catch (e) {
      const { name, uid } = this.#call.pod;
      error.end(`error forwarding port ${portText} to pod ${name}, uid ${uid}: ${describeError(e)}`);
      data.destroy(e as Error);
    }
  }

  async #relay(portText: string, data: Duplex): Promise<void> {
    const { kubelet, pod, signal } = this.#call;
    const port = Number(portText);
    if (!/^\d+$/.test(portText) || port < 1 || port > 65_535)
      throw new Error(`${JSON.stringify(portText)} is not a port`);
    const connection = await kubelet.dial({ kind: 'dial', pod, port }, AbortSignal.any([signal, this.#over.signal]));
    const { stdin, stdout } = connection.channels;
    try {
      await Promise.all([pipeline(data, stdin), pipeline(stdout, data)]);
    } finally {
      connection.close();
    }
  }
}
