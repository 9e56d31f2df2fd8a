/** kill -9 of one of two istiod processes under load: proxies and certificates go on by the other, and nothing that was written is lost. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { createCsr } from '../../common/identity/csr.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { configMapKind } from '../../common/kube/kinds/core.ts';
import { startTestProxy } from '../../common/testing/test-proxy.ts';
import { until } from '../../common/testing/until.ts';
import { withCluster } from '../../istiod/testing/cluster.ts';
import { bearer, sign } from '../../istiod/testing/world.ts';

const program = join(import.meta.dirname, '../../bin/istiod');
const flags = ['grpcAddr', 'secureGRPCAddr', 'monitoringAddr'].flatMap((f) => [`--${f}`, '127.0.0.1:0']);

interface Replica {
  readonly grpc: number;
  readonly secureGrpc: number;
  readonly leads: () => boolean;
  /** Resolves when the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

async function startReplica(kubeconfig: string): Promise<Replica> {
  const args = ['discovery', '--kubeconfig', kubeconfig, ...flags, '--httpAddr=', '--httpsAddr=', '--consoleAddr='];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, KUBECONFIG: '' } });
  const ended = once(child, 'exit');
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += String(chunk);
  });
  const ports = await until('it to serve', () => /\tserving .*\bgrpc=(\d+) secure_grpc=(\d+)/.exec(text) ?? undefined);
  return {
    grpc: Number(ports[1]),
    secureGrpc: Number(ports[2]),
    leads: () => /\tleads .*lease="?aquifer-istiod-leader"?[ \n]/.test(text),
    async end(signal) {
      child.kill(signal);
      await ended;
    },
  };
}

test('kill -9 of the one that leads, while pods come and certificates are signed', { timeout: 180_000 }, () =>
  withCluster(async (c) => {
    const { kubeconfig } = c.api;
    const replicas = [await startReplica(kubeconfig), await startReplica(kubeconfig)];
    const stop = new AbortController();
    const kube = createKubeClient({ access: loadKubeconfig(kubeconfig) });
    try {
      await c.namespace('shop');
      const uid = await c.pod('zt', 'istio-system/ztunnel', 'node-1');
      const token = await c.token('istio-system/ztunnel', { name: 'zt', uid });
      const leader = await until('one that leads', () => replicas.find((r) => r.leads()));
      const other = replicas.find((r) => r !== leader)!;
      // Each proxy asks one or the other, as behind a Service, where who is gone answers no more.
      const proxies = [leader, other].map((first) => {
        let next = replicas.indexOf(first);
        let isFirst = true;
        const plane = () => {
          if (!isFirst) next++;
          isFirst = false;
          return replicas[next % 2]!.grpc;
        };
        return startTestProxy({ plane, signal: stop.signal });
      });
      await Promise.all(proxies.map((p) => p.ready));
      const root = await until('the root', async () => {
        const map = await kube.get(configMapKind, { namespace: 'shop', name: 'istio-ca-root-cert' });
        return map?.data?.['root-cert.pem'];
      });

      const made: string[] = [];
      const [pods, certificates] = [90, 30];
      const load = Promise.all(
        [0, 1, 2].map(async (writer) => {
          for (let i = writer; i < pods; i += 3) {
            await c.pod(`p-${i}`, 'shop/web', 'node-1', { ip: `10.9.${i >> 8}.${i & 255}`, captured: true });
            made.push(`Kubernetes//Pod/shop/p-${i}`);
          }
        }),
      );
      const { csr } = await createCsr({ trustDomain: 'a', namespace: 'b', serviceAccount: 'c' });
      let tries = 0;
      const signatures = (async () => {
        for (let i = 0; i < certificates; i++) {
          await until('a certificate', async () => {
            const istiod = { ports: { secureGrpc: replicas[tries++ % 2]!.secureGrpc } } as never;
            const tls = () => credentials.createSsl(Buffer.from(root));
            const ends: (() => void)[] = [];
            const options = { metadata: bearer(token), csr, impersonate: 'spiffe://cluster.local/ns/shop/sa/web' };
            const answer = await sign({ istiod, tls, onEnd: (end) => void ends.push(end) }, options);
            for (const end of ends) end();
            return Array.isArray(answer);
          });
        }
      })();
      await until('a third of the pods', () => made.length > pods / 3);
      await leader.end('SIGKILL');
      assert.ok(made.length < pods, 'it was killed under load');
      await Promise.all([load, signatures]);
      for (const [i, proxy] of proxies.entries())
        await until(`all pods at proxy ${i}`, () => made.every((name) => proxy.store.workload(name)?.services));
      // Its lease ends, and what only one does goes on.
      await until('the other to lead', () => other.leads(), 60_000);
      await c.namespace('later');
      await until('the root in a new namespace', async () => {
        const map = await kube.get(configMapKind, { namespace: 'later', name: 'istio-ca-root-cert' });
        return map?.data?.['root-cert.pem'] === root;
      });
    } finally {
      stop.abort();
      kube.close();
      await Promise.all(replicas.map((r) => r.end('SIGKILL')));
    }
  }),
);
