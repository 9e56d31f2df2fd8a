/**
 * Runs Istio's ztunnel under our istiod: it must take everything that it is told, know it as we meant it, and get its certificate:
 *
 *   unshare -n scripts/pinned-node test/peers/stock-ztunnel.ts PATH_OF_ZTUNNEL
 *
 * Needs root, and a network namespace of its own: ztunnel's ports are fixed. Prints a line a case; exits with 1 when one failed.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { authorizationPolicyKind } from '../../common/kube/kinds/security.ts';
import type { Kind } from '../../common/kube/types.ts';
import { until } from '../../common/testing/until.ts';
import type { WithConditions } from '../../istiod/model/condition.ts';
import { withWorld } from '../../istiod/testing/world.ts';

const path = process.argv[2];
if (path === undefined) throw new Error('which ztunnel? give its path');
execFileSync('ip', ['link', 'set', 'lo', 'up']);

const mesh = `
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: shop}
spec: {hosts: [far.example.com], addresses: [192.0.2.7], exportTo: [".", other], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.0.2.8}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: vm, namespace: shop, labels: {app: web}}
spec: {address: 192.0.2.9, serviceAccount: vm}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: shop}
spec: {selector: {matchLabels: {app: web}}, action: DENY, rules: [{to: [{operation: {ports: ["9090"]}}]}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: shop}
spec: {mtls: {mode: STRICT}}
`;

interface Dump {
  readonly workloads: readonly { readonly uid: string; readonly services: readonly string[] }[];
  readonly services: readonly { readonly namespace: string; readonly hostname: string; readonly visibility?: string }[];
  readonly policies: readonly { readonly name: string }[];
  readonly certificates: readonly { readonly identity: string; readonly state: string }[];
}

const captured = { 'ambient.istio.io/redirection': 'enabled' };
const results: [string, boolean][] = [];
const check = (what: string, holds: boolean) => {
  results.push([what, holds]);
  process.stdout.write(`${holds ? 'ok  ' : 'FAIL'} ${what}\n`);
};

await withWorld(async (w) => {
  await w.put('mesh.yaml', mesh);
  await w.pod({
    name: 'a',
    namespace: 'shop',
    ip: '10.9.0.1',
    labels: { app: 'web' },
    serviceAccount: 'a',
    annotations: captured,
  });
  const pod = {
    name: 'me',
    uid: await w.pod({ name: 'me', namespace: 'shop', ip: '127.0.0.1', serviceAccount: 'me' }),
  };
  const [token, roots] = [join(w.dir, 'token'), join(w.dir, 'roots.pem')];
  await writeFile(token, await w.token({ namespace: 'shop', serviceAccount: 'me', pod }));
  await writeFile(roots, w.istiod.rootCertificate);
  const address = `https://localhost:${w.istiod.ports.secureGrpc}`;
  const child = spawn(path, ['proxy', 'ztunnel'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PROXY_MODE: 'dedicated',
      PROXY_WORKLOAD_INFO: 'shop/me/me',
      XDS_ADDRESS: address,
      CA_ADDRESS: address,
      XDS_ROOT_CA: roots,
      CA_ROOT_CA: roots,
      AUTH_TOKEN: token,
      POD_NAME: 'me',
      POD_NAMESPACE: 'shop',
      SERVICE_ACCOUNT: 'me',
      NODE_NAME: 'node-1',
      INSTANCE_IP: '127.0.0.1',
      DNS_PROXY: 'false',
      UNSTABLE_ENABLE_SOCKS5: 'true',
      RUST_LOG: 'info',
    },
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += String(chunk)));
  const ended = once(child, 'exit');
  try {
    const dump = await until('its dump', async () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${log.slice(-2_000)}`);
      const answer = await fetch('http://127.0.0.1:15000/config_dump').catch(() => undefined);
      const found = (await answer?.json()) as Dump | undefined;
      return found !== undefined && found.workloads.length > 3 && found;
    });
    const service = (namespace: string, hostname: string) =>
      dump.services.find((s) => s.namespace === namespace && s.hostname === hostname);
    check('the Service', service('shop', 'web.shop.svc.cluster.local') !== undefined);
    check('the ServiceEntry in its namespace', service('shop', 'far.example.com') !== undefined);
    check(
      'the ServiceEntry in the namespace that it is exported to',
      service('other', 'far.example.com') !== undefined,
    );
    const endpoint = dump.workloads.find((x) => x.uid.endsWith('ServiceEntry/shop/far/192.0.2.8'));
    check(
      'its endpoint belongs to both',
      JSON.stringify(endpoint?.services ?? []).split('far.example.com').length === 3,
    );
    check(
      'the machine',
      dump.workloads.some((x) => x.uid.endsWith('WorkloadEntry/shop/vm')),
    );
    check('both policies', dump.policies.length >= 2);
    const says = await until('the condition', async () => {
      const found = await w.source.get(authorizationPolicyKind as Kind<WithConditions>, {
        namespace: 'shop',
        name: 'p',
      });
      return found?.status?.conditions?.find((c) => c.type === 'Programmed' && c.status !== 'Unknown');
    });
    check(`Programmed: ${says.message}`, says.message === '1/1 proxies');
    check('nothing is NACKed', !w.lines.some((l) => l.includes('NACKed')));
    // To a workload that takes HBONE alone it needs one, whether it gets through or not.
    const socks = connect(15_080, '127.0.0.1', () => socks.write(Buffer.from([5, 1, 0])));
    socks.on('error', () => undefined);
    socks.once('data', () => socks.write(Buffer.from([5, 1, 0, 1, 10, 9, 0, 1, 8080 >> 8, 8080 & 255])));
    const certificate = await until('its certificate', async () => {
      const { certificates } = (await (await fetch('http://127.0.0.1:15000/config_dump')).json()) as Dump;
      return certificates.find((c) => c.identity === 'spiffe://cluster.local/ns/shop/sa/me' && c.state === 'Available');
    }).catch(() => undefined);
    socks.destroy();
    check('its certificate', certificate !== undefined);
    if (results.some(([, holds]) => !holds))
      process.stdout.write(`${JSON.stringify(dump, null, 1).slice(0, 6_000)}\n${log.slice(-3_000)}\n`);
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
});
process.exitCode = results.every(([, holds]) => holds) ? 0 : 1;
