/** A port in front of a server, whose connections can be cut and which can go on in front of another. */
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestServer } from '../../istiod/apiserver/testing/client.ts';

export interface CutProxy extends AsyncDisposable {
  readonly port: number;
  /** Where new connections go; undefined: they are closed at once. */
  to: number | undefined;
  cut(): void;
}

export async function startCutProxy(to: number): Promise<CutProxy> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    if (proxy.to === undefined) return void socket.destroy();
    const onward = connect(proxy.to, '127.0.0.1');
    open.add(socket);
    const end = () => {
      open.delete(socket);
      socket.destroy();
      onward.destroy();
    };
    for (const side of [socket, onward]) side.on('error', end).on('close', end);
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of open) socket.destroy();
  };
  const proxy: CutProxy = {
    port: (server.address() as AddressInfo).port,
    to,
    cut,
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
    },
  };
  return proxy;
}

/** The kubeconfig at `from`, by way of `port`. */
export async function kubeconfigThrough(port: number, from: string): Promise<string> {
  const path = `${from}-${port}`;
  const text = await readFile(from, 'utf8');
  await writeFile(path, text.replace(/(server: https:\/\/127\.0\.0\.1:)\d+/, `$1${port}`), { mode: 0o600 });
  return path;
}

export function portOf(server: TestServer): number {
  return Number(new URL(server.client.config.server).port);
}
