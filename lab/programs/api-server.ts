/** The lab's API server, and the ways to it: for its hosts and pods, and for this machine, whose network the lab does not share. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseDocument } from 'yaml';
import { describeError, MeshError } from '../../common/core/errors.ts';
import { replaceFile } from '../../common/core/files.ts';
import type { Ip, Port } from '../../common/core/net.ts';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { namespaceKind } from '../../common/kube/kinds/core.ts';
import { closeFd, openNetns, type SocketSpec, socketName, socketsHere, socketsInNetns } from '../../native/index.ts';
import { controlPlane } from '../addresses.ts';
import { netnsName, netnsPath } from '../names.ts';
import { pause } from '../system/pause.ts';
import type { ProgramContext } from './context.ts';
import { type ExtraEnv, istiodSpec } from './mesh.ts';
import { Supervised } from './supervised.ts';

const apiPort = 6443;

/** What the lab puts its own objects into. */
const firstNamespaces = ['default', 'kube-system', 'kube-node-lease'];

export interface LabApiServer {
  readonly source: KubeClient;
  /** PEM. */
  readonly certificateAuthority: string;
}

/**
 * Resolves when it answers and has its first namespaces. The sockets stay open in this process: whoever calls while the server is started
 * anew waits.
 */
export async function startApiServer(
  context: ProgramContext,
  mesh: boolean,
  env: ExtraEnv,
  signal: AbortSignal,
): Promise<LabApiServer> {
  const { lab, paths } = context;
  const listening = (ip: string, port: number): SocketSpec => ({
    family: 4,
    type: 'stream',
    reuseAddr: true,
    bind: { ip: ip as Ip, port: port as Port },
    backlog: 512,
  });
  const netns = openNetns(netnsPath(netnsName(lab, 'cp')));
  const [inside] = socketsInNetns(netns, listening(controlPlane.v4, apiPort), 1);
  closeFd(netns);
  const [outside] = socketsHere(listening('127.0.0.1', 0), 1);
  await Supervised.start(context, istiodSpec(context, mesh, [inside!, outside!], env));
  while (!existsSync(paths.apiKubeconfig)) {
    signal.throwIfAborted();
    await pause(10);
  }
  const config = parseDocument(await readFile(paths.apiKubeconfig, 'utf8'));
  config.setIn(['clusters', 0, 'cluster', 'server'], `https://127.0.0.1:${socketName(outside!).port}`);
  await replaceFile(paths.kubeconfig, config.toString(), { mode: 0o600 });
  const access = loadKubeconfig(paths.kubeconfig);
  const source = createKubeClient({ access });
  await namespacesAreThere(source, signal);
  return { source, certificateAuthority: access.ca! };
}

async function namespacesAreThere(source: KubeClient, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted();
    try {
      const names = (await source.list(namespaceKind, signal)).items.map((n) => n.metadata.name);
      if (firstNamespaces.every((n) => names.includes(n))) return;
    } catch (e) {
      if (!(e instanceof MeshError) || e.code !== 'API_UNAVAILABLE') throw new MeshError('CONFIG', describeError(e));
    }
    await pause(10);
  }
}
