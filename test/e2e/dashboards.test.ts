/** Every query of every dashboard, asked of a real Prometheus that scrapes a mesh with traffic: each has data. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { parseAllDocuments } from 'yaml';
import type { Pod } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { dashboards } from '../../dashboards/all.ts';
import { Lab, type LabApi } from '../../lab/index.ts';
import { ClientProgram } from '../harness/client-program.ts';
import { Kubectl, skipWithoutKubectl } from '../harness/kubectl.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';

const patience = 60_000;
const checkout = new URL('../../', import.meta.url).pathname;
const skip = skipWithoutKubectl() || skipUnless('ebpf', 'program:ip', 'program:nft');

/**
 * Debian's Prometheus is built without Kubernetes, so that the targets stand here as the rules of the manifest would find them. More often
 * than a user would, so that rates are known soon.
 */
function withTargets(pods: readonly Pod[]): string {
  const addresses = (labels: (l: Readonly<Record<string, string>>) => boolean, port: number, label: string) =>
    pods
      .filter((p) => labels(p.metadata.labels ?? {}))
      .map((p) => {
        const value = label === 'pod' ? p.metadata.name : p.spec.nodeName;
        return { targets: [`${p.status?.podIP}:${port}`], labels: { [label]: value } };
      });
  const job = (job_name: string, static_configs: object, metrics_path = '/metrics') => ({
    job_name,
    metrics_path,
    static_configs,
  });
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [
      job('istiod', [{ targets: [`istiod.istio-system.svc:15014`] }]),
      job(
        'ztunnel',
        addresses((l) => l['app'] === 'ztunnel', 15_020, 'instance'),
      ),
      job(
        'cni',
        addresses((l) => l['app'] === 'istio-cni-node', 15_014, 'instance'),
      ),
      job(
        'waypoint',
        addresses((l) => l['gateway.istio.io/managed'] === 'istio.io-mesh-controller', 15_020, 'pod'),
        '/stats/prometheus',
      ),
    ],
  };
  const documents = parseAllDocuments(readFileSync(`${checkout}dashboards/prometheus.yaml`, 'utf8'));
  const map = documents.find((d) => d.get('kind') === 'ConfigMap')!;
  map.setIn(['data', 'prometheus.yml'], JSON.stringify(config));
  return documents.map(String).join('---\n');
}

const shop = `
apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient } }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: echo, image: aquifer/echo, readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: client, namespace: shop }
spec:
  selector: { matchLabels: { app: client } }
  template:
    metadata: { labels: { app: client } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: curlimages/curl
          command: [sh, -c, 'while :; do curl -s -o /dev/null -m 5 http://direct/; curl -s -o /dev/null -m 5 http://web/; sleep 0.2; done']
---
apiVersion: v1
kind: Service
metadata: { name: direct, namespace: shop }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop, labels: { istio.io/use-waypoint: waypoint } }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [number, string];
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data?: { readonly result: readonly Series[] };
}

describe('dashboards on a real Prometheus', { skip }, () => {
  let lab: LabApi;
  before(async () => {
    lab = await Lab.up({ name: labName('dash'), nodes: 2 });
    const kubectl = new Kubectl(lab.kubeconfig);
    const aquifer = new ClientProgram(`${checkout}bin/aquifer`, lab.kubeconfig);
    const apply = async (yaml: string) => {
      const { code, stderr } = await kubectl.run(['apply', '-f', '-'], yaml);
      assert.equal(code, 0, stderr);
    };
    await apply(shop);
    const { code, stderr } = await aquifer.run(['waypoint', 'apply', '-n', 'shop', '--wait']);
    assert.equal(code, 0, stderr);
    await lab.waitReady(patience);
    await lab.waitEnrolled(patience);
    await apply(withTargets(await lab.pods()));
    await lab.waitReady(patience);
  });
  after(() => lab?.down());

  async function ask(expr: string): Promise<Answer> {
    const [pod] = await lab.podsOf('istio-system/prometheus');
    const url = `http://${pod?.status?.podIP}:9090/api/v1/query?query=${encodeURIComponent(expr)}`;
    const { stdout } = await lab.execOn('cp', ['curl', '-s', '-m', '10', url]);
    return JSON.parse(stdout === '' ? '{"status":"silent"}' : stdout) as Answer;
  }

  test('it finds every part of the mesh, and all of them answer', async () => {
    let up: unknown;
    const all = { istiod: '1', ztunnel: '2', cni: '2', waypoint: '1' };
    const scraped = async () => {
      const { data } = await ask('sum by (job) (up)');
      up = Object.fromEntries((data?.result ?? []).map((r) => [r.metric['job'], r.value[1]]));
      return isDeepStrictEqual(up, all) || undefined;
    };
    await until('all answer', scraped, patience).catch(() => assert.deepEqual(up, all));
  });

  test('the reference names every metric', async () => {
    const page = readFileSync(`${checkout}docs/reference/metrics.md`, 'utf8');
    const { data } = await ask('count by (__name__) ({job=~"istiod|ztunnel|cni"})');
    const names = (data?.result ?? []).map(({ metric }) => metric['__name__'] ?? '');
    assert.ok(names.length > 40, names.join());
    const ofProcess = /^(process|nodejs|scrape)_|^up$/;
    const families = /^aquifer_capture_\w+_total$|^citadel_server_(root_cert|cert_chain)_expiry_(timestamp|seconds)$/;
    const isNamed = (name: string) =>
      [name, name.replace(/_(bucket|sum|count)$/, '')].some((n) => page.includes(`| \`${n}\` |`));
    assert.deepEqual(
      names.filter((n) => !ofProcess.test(n) && !families.test(n) && !isNamed(n)),
      [],
    );
  });

  for (const dashboard of dashboards) {
    for (const panel of dashboard.rows.flatMap((r) => r.panels)) {
      test(`${dashboard.title}: ${panel.title}`, async () => {
        for (const { expr, rare } of panel.queries) {
          const filled = expr
            .replaceAll('$__rate_interval', '10s')
            .replaceAll(/\$\w+/g, (name) => (dashboard.variables.some((v) => `$${v.name}` === name) ? '.*' : name));
          const answered = async () => {
            const answer = await ask(filled);
            assert.equal(answer.status, 'success', `${filled}: ${answer.error}`);
            const values = (answer.data?.result ?? []).map((r) => Number(r.value[1])).filter(Number.isFinite);
            return rare || values.length > 0 || undefined;
          };
          await until(`${filled} has data`, answered, patience);
        }
      });
    }
    for (const { name, of, by } of dashboard.variables) {
      test(`${dashboard.title}: values of ${name}`, async () => {
        const selector = of.replaceAll(/\$\w+/g, '.*');
        const { data } = await ask(`count by (${by}) (${selector})`);
        assert.ok((data?.result.length ?? 0) > 0, `nothing has the label ${by} in ${selector}`);
      });
    }
  }
});
