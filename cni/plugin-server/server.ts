/** The unix socket on which the CNI plugin tells the agent of pods that start, end or are to be checked. HTTP, as Istio's agent has it. */
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { describeError, MeshError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createServer } from '../../common/core/node-http.ts';
import { type PluginEvent, parseEvent } from './event.ts';

export interface PluginHandlers {
  /** Resolves when the pod may start: its capture stands, or it is not of the mesh. Rejects with MeshError when it must wait. */
  add(event: PluginEvent): Promise<void>;
  /** The runtime is about to remove the pod's namespace. Never refused: a pod must be able to go. */
  del(event: PluginEvent): Promise<void>;
  /** Rejects when the pod's capture is not as it should be. */
  check(event: PluginEvent): Promise<void>;
}

/** In the agent's run directory; Istio's name. */
export const pluginSocket = 'pluginevent.sock';
/** Bytes. Ours is below 16 KiB. */
const largestEvent = 65_536;

export interface PluginServer {
  readonly path: string;
  close(): void;
}

/** Resolves once it listens. Only root (or the agent's own user) can connect. MeshError CONFIG when the folder cannot be used. */
export async function servePlugin(runDir: string, handlers: PluginHandlers, log: Logger): Promise<PluginServer> {
  const path = join(runDir, pluginSocket);
  const routes = new Map<string, (event: PluginEvent) => Promise<void>>([
    ['/cmdadd', (event) => handlers.add(event)],
    ['/cmddel', (event) => handlers.del(event)],
    ['/cmdcheck', (event) => handlers.check(event)],
  ]);
  const server = createServer((request, response) => {
    void answer(request, response, routes, log);
  });
  try {
    mkdirSync(runDir, { recursive: true, mode: 0o755 });
    // An agent that was killed leaves its socket, on which nobody listens.
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
  } catch (e) {
    throw new MeshError('CONFIG', `CNI_AGENT_RUN_DIR=${runDir}: ${describeError(e)}`, { cause: e });
  }
  return {
    path,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  routes: ReadonlyMap<string, (event: PluginEvent) => Promise<void>>,
  log: Logger,
): Promise<void> {
  const say = (status: number, text: string) =>
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${text}\n`);
  const handle = routes.get(request.url ?? '');
  if (handle === undefined) return void say(404, 'only /cmdadd, /cmddel and /cmdcheck are here');
  if (request.method !== 'POST') return void say(405, 'use POST');
  let event: PluginEvent;
  try {
    event = parseEvent(await body(request));
  } catch (e) {
    log.warn('the CNI plugin said what cannot be understood', { error: describeError(e) });
    return void say(400, describeError(e));
  }
  const { name, namespace } = event;
  try {
    await handle(event);
    log.debug('answered the CNI plugin', { call: request.url, pod: `${namespace}/${name}` });
    say(200, 'ok');
  } catch (e) {
    log.warn('a pod has to wait', { call: request.url, pod: `${namespace}/${name}`, reason: describeError(e) });
    say(e instanceof MeshError ? 503 : 500, describeError(e));
  }
}

async function body(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > largestEvent) throw new MeshError('CONFIG', `the event is longer than ${largestEvent} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
}
