/** What is compared: the same load through different paths. */
import { join } from 'node:path';
import type { LabApi, LabProcess } from '../lab/index.ts';
import type { Target } from './load.ts';
import { startPeer } from './peer.ts';
import { copyProgram, findPair, namespaces, nearNamespaces, type Pair } from './rig.ts';

export interface Variant {
  readonly name: 'direct' | 'C relay, 3 hops' | 'ours' | 'peer' | 'past the proxy';
  readonly pair: Pair;
  /** What the client calls. */
  readonly target: Target;
  /** Processes of the proxy beside the client, and of the one beside the server. */
  readonly proxies: () => Promise<readonly (readonly number[])[]>;
}

export interface Rig {
  readonly variants: readonly Variant[];
  stop(): Promise<void>;
}

export async function startVariants(lab: LabApi, peer: string | undefined): Promise<Rig> {
  const started: LabProcess[] = [];
  const direct = await findPair(lab, namespaces.direct);
  const mesh = await findPair(lab, namespaces.mesh);
  const variants: Variant[] = [
    { name: 'direct', pair: direct, target: direct.target, proxies: async () => [] },
    await relayVariant(lab, started),
    {
      name: 'ours',
      pair: mesh,
      target: mesh.target,
      proxies: async () => [[await lab.pid('ztunnel', 'node-1')], [await lab.pid('ztunnel', 'node-2')]],
    },
  ];
  if (peer !== undefined) {
    const pair = await findPair(lab, namespaces.peer);
    const processes = await startPeer(lab, peer, pair);
    started.push(...processes);
    variants.push({ name: 'peer', pair, target: pair.target, proxies: async () => processes.map((p) => [p.pid]) });
  }
  return {
    variants,
    async stop() {
      for (const process of started) process.kill('SIGKILL');
      await Promise.all(started.map((p) => p.exited));
    },
  };
}

/** Pairs on one node. */
export async function nearVariants(lab: LabApi): Promise<Rig> {
  const proxies = async () => [[await lab.pid('ztunnel', 'node-2')]];
  const variant = async (name: Variant['name'], namespace: string, of: Variant['proxies']): Promise<Variant> => {
    const pair = await findPair(lab, namespace);
    return { name, pair, target: pair.target, proxies: of };
  };
  const variants = [
    await variant('direct', nearNamespaces.direct, async () => []),
    await variant('ours', nearNamespaces.mesh, proxies),
    await variant('past the proxy', nearNamespaces.past, proxies),
  ];
  return { variants, stop: async () => undefined };
}

/** One relay in each pod, where a node proxy's sockets would be: client -> relay -> relay -> server. */
async function relayVariant(lab: LabApi, started: LabProcess[]): Promise<Variant> {
  const pair = await findPair(lab, namespaces.relay);
  const program = join(import.meta.dirname, 'build/relay');
  await copyProgram(lab, pair.server, program);
  const copied = await copyProgram(lab, pair.client, program);
  const hop = { iperf: 16_201, http: 16_080 };
  const run = async (where: 'client' | 'server', listen: string, port: number, to: string, toPort: number) => {
    const relay = await lab.spawn(pair[where], [copied, listen, String(port), to, String(toPort)]);
    await new Promise((resolve) => relay.stdout.once('data', resolve));
    started.push(relay);
    return relay.pid;
  };
  const { ip } = pair.target;
  const server = [
    await run('server', ip, hop.iperf, ip, pair.target.iperfPort),
    await run('server', ip, hop.http, ip, pair.target.httpPort),
  ];
  const client = [
    await run('client', '127.0.0.1', hop.iperf, ip, hop.iperf),
    await run('client', '127.0.0.1', hop.http, ip, hop.http),
  ];
  return {
    name: 'C relay, 3 hops',
    pair,
    target: { ip: '127.0.0.1', iperfPort: hop.iperf, httpPort: hop.http },
    proxies: async () => [client, server],
  };
}
