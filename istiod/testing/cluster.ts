/** An API server in the test's own process, istiods on it, and a wire between them that breaks when told to. Only for tests. */
import { type ChannelCredentials, credentials as grpcCredentials } from '@grpc/grpc-js';
import { systemClock } from '../../common/core/clock.ts';
import { LogLevels } from '../../common/core/log.ts';
import { createKubeClient, type KubeClient } from '../../common/kube/client/client.ts';
import { namespaceKind, type Pod, podKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { type FaultProxy, startFaultProxy } from '../apiserver/testing/fault-proxy.ts';
import type { IstiodConfig } from '../config.ts';
import { type Istiod, startIstiod } from '../istiod.ts';
import { openTestApi, type TestApi } from './api-server.ts';
import { configOf } from './world.ts';

export interface Replica {
  readonly istiod: Istiod;
  readonly lines: readonly string[];
  readonly proxy: FaultProxy;
  tls(): ChannelCredentials;
  /** Trusting this certificate. */
  tlsOf(pem: string): ChannelCredentials;
  onEnd(end: () => void): void;
  stop(): Promise<void>;
}

export interface Cluster {
  readonly api: TestApi;
  readonly kube: KubeClient;
  /** Breaks every way to the API server, or mends it. */
  away(is: boolean): void;
  start(
    env?: Readonly<Record<string, string>>,
    more?: Partial<IstiodConfig>,
    flags?: readonly string[],
  ): Promise<Replica>;
  namespace(name: string): Promise<void>;
  /** Running on the node; returns its uid. */
  pod(name: string, account: string, node: string, more?: { ip?: string; captured?: boolean }): Promise<string>;
  token(account: string, pod: { readonly name: string; readonly uid: string }, audience?: string): Promise<string>;
}

export async function withCluster(body: (c: Cluster) => Promise<void>): Promise<void> {
  await using api = await openTestApi();
  await using direct = await startFaultProxy(api.client);
  const kube = createKubeClient({ access: direct.access });
  const replicas = new Set<Replica>();
  let isAway = false;
  const cluster: Cluster = {
    api,
    kube,
    away(is) {
      isAway = is;
      if (is) for (const r of replicas) r.proxy.cutAll();
    },
    async start(env = {}, more = {}, flags = []) {
      const proxy = await startFaultProxy(api.client);
      proxy.fault = () => (isAway ? { kind: 'cut', after: 0 } : undefined);
      const client = createKubeClient({ access: proxy.access });
      const lines: string[] = [];
      const sink = {
        levels: new LogLevels('debug'),
        format: 'plain' as const,
        write: (l: string) => void lines.push(l),
      };
      const config = { ...configOf({ KUBECONFIG: '/unused', ...env }, flags), ...more };
      const ends: (() => void)[] = [];
      const istiod = await startIstiod(config, {
        clock: systemClock,
        sink,
        source: client,
        problems: () => [],
        apply: (object, how) => client.apply(object, how),
        document: (path) => client.document(path),
      });
      const replica: Replica = {
        istiod,
        lines,
        proxy,
        tls: () => grpcCredentials.createSsl(Buffer.from(istiod.rootCertificate)),
        tlsOf: (pem) =>
          grpcCredentials.createSsl(Buffer.from(pem), null, null, { checkServerIdentity: () => undefined }),
        onEnd: (end) => void ends.push(end),
        async stop() {
          if (!replicas.delete(replica)) return;
          for (const end of ends) end();
          await istiod.stop();
          client.close();
          await proxy[Symbol.asyncDispose]();
        },
      };
      replicas.add(replica);
      return replica;
    },
    async namespace(name) {
      await kube.create(namespaceKind, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    },
    async pod(name, account, node, { ip, captured = false } = {}) {
      const [namespace, serviceAccountName] = account.split('/') as [string, string];
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
      const metadata = { name: serviceAccountName };
      await api.client.ask(path, { method: 'POST', body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata } });
      const made = await until(`pod ${name}`, () =>
        kube.create<Pod>(podKind, {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: {
            name,
            namespace,
            ...(captured && { annotations: { 'ambient.istio.io/redirection': 'enabled' } }),
          },
          spec: { serviceAccountName, nodeName: node, containers: [{ name: 'c', image: 'x' }] },
        }),
      );
      const addresses = ip === undefined ? {} : { podIP: ip, podIPs: [{ ip }] };
      const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }], ...addresses };
      await kube.patch(podKind, { namespace, name }, { status }, { subresource: 'status' });
      return made.metadata.uid;
    },
    async token(account, pod, audience = 'istio-ca') {
      const [namespace, name] = account.split('/') as [string, string];
      const spec = { audiences: [audience], boundObjectRef: { apiVersion: 'v1', kind: 'Pod', ...pod } };
      const answer = await api.client.ask(`/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`, {
        method: 'POST',
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
      });
      if (answer.code !== 201) throw new Error(answer.body.toString());
      return answer.json.status.token as string;
    },
  };
  try {
    await body(cluster);
  } finally {
    isAway = false;
    for (const r of [...replicas]) await r.stop();
    kube.close();
  }
}
