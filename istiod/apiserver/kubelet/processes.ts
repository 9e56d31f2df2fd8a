/** exec and attach: the user's channels are joined with the kubelet's until the process has ended or one of them is gone. */
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeError } from '../../../common/core/errors.ts';
import type { Logger } from '../../../common/core/log.ts';
import type { Reply } from '../http/api-request.ts';
import { internalError } from '../status.ts';
import type { ProcessClient } from './client.ts';
import type { Kubelet, KubeletStreams, ProcessRequest } from './kubelet.ts';
import { spdyProcess, processProtocols as spdyProtocols } from './spdy-process.ts';
import { accepted, choose, type Upgrade } from './upgrade.ts';
import { webSocketProcess, processProtocols as webSocketProtocols } from './websocket/process.ts';

export interface ProcessCall {
  readonly upgrade: Upgrade;
  readonly kubelet: Kubelet;
  readonly request: ProcessRequest;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** The kubelet is asked first, so that its refusal is an answer of HTTP. */
export async function callProcess({ upgrade, kubelet, request, signal, log }: ProcessCall): Promise<Reply> {
  const protocol = choose(upgrade, upgrade.kind === 'spdy' ? spdyProtocols : webSocketProtocols);
  const process = await kubelet.run(request, signal);
  return {
    kind: 'upgrade',
    accept(socket, head) {
      if (head.length > 0) socket.unshift(head);
      socket.write(accepted(upgrade, protocol));
      serve(socket, process, () => clientOf(socket, upgrade, protocol, request)).catch((e: unknown) =>
        log.debug('an exec or attach was cut', { pod: request.pod.name, error: describeError(e) }),
      );
    },
  };
}

function clientOf(
  socket: Duplex,
  upgrade: Upgrade,
  protocol: string,
  { options }: ProcessRequest,
): Promise<ProcessClient> {
  return upgrade.kind === 'spdy' ? spdyProcess(socket, options) : Promise.resolve(webSocketProcess(socket, protocol));
}

async function serve(socket: Duplex, process: KubeletStreams, open: () => Promise<ProcessClient>): Promise<void> {
  try {
    const client = await open();
    await Promise.race([join(client, process), client.gone]);
    client.close();
  } catch (e) {
    socket.destroy();
    throw e;
  } finally {
    process.close();
  }
}

async function join({ channels: user }: ProcessClient, { channels: node }: KubeletStreams): Promise<void> {
  // That the process takes no more input, or that the user has no more, ends nothing else.
  pipeline(user.stdin, node.stdin).catch(() => undefined);
  pipeline(user.resize, node.resize).catch(() => undefined);
  const outputs = [pipeline(node.stdout, user.stdout), pipeline(node.stderr, user.stderr)];
  try {
    await Promise.all(outputs);
    await pipeline(node.status, user.status);
  } catch (e) {
    // The node is gone: the user hears of it, if there still is one.
    if (!user.status.writable) throw e;
    const { status } = internalError();
    const message = `the connection to the node was lost: ${describeError(e)}`;
    await pipeline([Buffer.from(JSON.stringify({ ...status, message }))], user.status);
  }
}
