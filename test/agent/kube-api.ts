/** An API server for a test and for the agent in the network namespace of the bed's node, which has no way out. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { kubeconfig } from '../../istiod/apiserver/pki/kubeconfig.ts';
import { startTestServer } from '../../istiod/apiserver/testing/client.ts';
import type { Bed } from '../capture/bed.ts';

export interface KubeApi extends AsyncDisposable {
  readonly kube: KubeClient;
}

/** In the node's namespace: TCP to the unix socket, byte for byte, so that TLS reaches from end to end. */
const relay = `
  const net = require('node:net');
  const server = net.createServer((tcp) => {
    const unix = net.connect(process.argv[1]);
    tcp.on('error', () => unix.destroy()).pipe(unix);
    unix.on('error', () => tcp.destroy()).pipe(tcp);
  });
  server.listen(0, '127.0.0.1', () => console.log(server.address().port));
`;

/** Writes `<dir>/kubeconfig` for programs in the node's namespace. */
export async function startKubeApi(bed: Bed, dir: string): Promise<KubeApi> {
  const server = await startTestServer();
  const { server: address, ca, token } = server.client.config;
  const socket = join(dir, 'api.sock');
  const port = Number(new URL(address).port);
  const bridge = createServer((unix) => {
    const tcp = connect(port, '127.0.0.1');
    unix.on('error', () => tcp.destroy()).pipe(tcp);
    tcp.on('error', () => unix.destroy()).pipe(unix);
  });
  bridge.listen(socket);
  await once(bridge, 'listening');
  const inside = spawn('nsenter', [`--net=${bed.netnsPath('node')}`, process.execPath, '-e', relay, socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(inside, 'exit');
  const [line] = (await once(inside.stdout, 'data')) as [Buffer];
  const file = join(dir, 'kubeconfig');
  writeFileSync(
    file,
    kubeconfig({ server: `https://127.0.0.1:${line.toString().trim()}`, certificateAuthority: ca, token }),
  );
  const kube = createKubeClient({ access: loadKubeconfig(server.server.kubeconfig) });
  return {
    kube,
    async [Symbol.asyncDispose]() {
      inside.kill();
      await exited;
      kube.close();
      bridge.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
