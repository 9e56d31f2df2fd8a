/** Every command that only looks, against a mesh that runs: two nodes, a waypoint of our own, a connection that is open. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { serviceKind } from '../../common/kube/kinds/core.ts';
import { until } from '../../common/testing/until.ts';
import { Lab, type LabApi, type LabProcess } from '../../lab/index.ts';
import { ClientProgram, type ProgramResult } from '../harness/client-program.ts';
import { labName } from '../harness/lab-name.ts';
import { skipUnless } from '../harness/require.ts';

const patience = 60_000;
const checkout = join(import.meta.dirname, '../..');
const demo = (file: string) => join(checkout, 'demo/manifests', file);

const policies = `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-delete, namespace: shop }
spec:
  targetRefs: [{ group: '', kind: Service, name: web }]
  action: DENY
  rules: [{ to: [{ operation: { methods: [DELETE] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: own, namespace: shop }
spec:
  rules: [{ from: [{ source: { namespaces: [shop] } }] }]
---
apiVersion: v1
kind: ConfigMap
metadata: { name: istio, namespace: istio-system }
data: { mesh: 'accessLogFile: /dev/stdout' }
`;

describe('the command line against a mesh', { skip: skipUnless('ebpf', 'program:ip', 'program:nft') }, () => {
  let lab: LabApi;
  let program: ClientProgram;
  let folder: string;
  let held: LabProcess | undefined;
  const aquifer = (...args: readonly string[]): Promise<ProgramResult> => program.run(args);
  /** What it prints; it must succeed. */
  const said = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await aquifer(...args);
    assert.equal(code, 0, `aquifer ${args.join(' ')}: ${stdout}${stderr}`);
    return stdout;
  };
  /** Columns are parted by three blanks or more. */
  const table = async (...args: readonly string[]) => {
    const [header = '', ...rows] = (await said(...args)).trimEnd().split('\n');
    return { header: header.split(/ {3,}/), rows: rows.map((row) => row.split(/ {3,}/)) };
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'aquifer-cli-'));
    lab = await Lab.up({
      name: labName('cli'),
      nodes: 2,
      manifests: [demo('01-namespace.yaml'), demo('02-web.yaml'), demo('06-clients.yaml'), policies],
    });
    program = new ClientProgram(join(checkout, 'bin/aquifer'), lab.kubeconfig);
    await lab.waitReady(patience);
    await lab.waitEnrolled(patience);
    await said('waypoint', 'apply', '-n', 'shop', '--enroll-namespace', '--wait');
    const [client] = await lab.podsOf('shop/client');
    const web = await lab.kube.get(serviceKind, { namespace: 'shop', name: 'web' });
    held = await lab.spawn({ namespace: 'shop', name: client!.metadata.name }, [
      'bash',
      '-c',
      'while :; do exec 3<>/dev/tcp/$0/80 && cat <&3; sleep 1; done',
      web?.spec.clusterIP ?? '',
    ]);
    held.stdout.resume();
    held.stderr.resume();
  });
  after(async () => {
    held?.kill('SIGKILL');
    await lab?.down();
    await rm(folder, { recursive: true, force: true });
  });

  test('versions of all', async () => {
    assert.match(
      await said('version'),
      /^client version: \S+\ncontrol plane version: \S+\ndata plane version: \S+ \(3 proxies\)\n$/,
    );
  });

  test('remote-clusters: the own one, of no Secret, where there is no other', async () => {
    const { header, rows } = await table('remote-clusters');
    assert.deepEqual(header, ['NAME', 'SECRET', 'STATUS', 'ISTIOD', 'REVISION']);
    assert.deepEqual(rows, [['Kubernetes', 'synced', 'istiod', 'default']]);
  });

  test('proxy-status: each proxy, and what it confirmed', async () => {
    const { header, rows } = await table('ps');
    assert.deepEqual(header, ['NAME', 'CLUSTER', 'ISTIOD', 'VERSION', 'SUBSCRIBED TYPES']);
    assert.deepEqual(
      rows.map((r) => r.at(-1)),
      ['4 (CDS,LDS,EDS,RDS)', '2 (WADS,WDS)', '2 (WADS,WDS)'],
    );
    assert.match(await said('proxy-status', '-v', '1'), /SYNCED \(\d+s\)/);
    await until(
      'the waypoint has what was sent',
      async () => (await aquifer('ps', 'deploy/waypoint.shop')).code === 0,
      patience,
    );
    assert.match(await said('ps', 'deploy/waypoint.shop'), /^Clusters Match$/m);
  });

  test('ztunnel-config: of any node, of a node, of a pod', async () => {
    const all = await table('zc', 'workload');
    assert.deepEqual(all.header, ['NAMESPACE', 'POD NAME', 'ADDRESS', 'NODE', 'WAYPOINT', 'PROTOCOL']);
    const one = await table('zc', 'w', 'deploy/web.shop');
    assert.deepEqual(
      one.rows.map((r) => [r[0], r[3], r[5]]),
      [['shop', 'node-2', 'HBONE']],
    );
    const services = await table('zc', 'svc', '--service-namespace', 'shop');
    assert.deepEqual(services.rows.find((r) => r[1] === 'web')?.slice(3), ['waypoint', '1/1']);
    assert.deepEqual((await table('zc', 'policy')).rows, [['shop', 'own', 'Allow', 'Namespace']]);
    const certificates = await table('zc', 'certs', '--node', 'node-2');
    assert.ok(certificates.rows.some((r) => r[0]?.endsWith('/sa/web') && r[1] === 'Leaf' && r[3] === 'true'));
    assert.deepEqual((await table('zc', 'connections')).header, [
      'WORKLOAD',
      'DIRECTION',
      'LOCAL',
      'REMOTE',
      'REMOTE TARGET',
      'PROTOCOL',
    ]);
    assert.match(await said('zc', 'log'), /current log level is info/);
    assert.match(await said('zc', 'all', '--with-headers'), /^------ POLICY INFO ------$/m);
    const dump = JSON.parse(await said('zc', 'all', '-o', 'json')) as { readonly workloads: readonly object[] };
    assert.ok(dump.workloads.length > 3);
  });

  test('proxy-config: what the waypoint was told', async () => {
    const waypoint = 'deploy/waypoint.shop';
    const clusters = await table('pc', 'cluster', waypoint);
    assert.deepEqual(clusters.header.slice(0, 5), ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE']);
    assert.ok(clusters.rows.some((r) => r[0] === 'web.shop.svc.cluster.local' && r[3] === 'inbound-vip'));
    assert.match(await said('pc', 'listener', waypoint), /15008/);
    assert.match(await said('pc', 'l', waypoint, '--waypoint'), /DestinationIPInput=\S+ -> DestinationPortInput=80/);
    assert.match(await said('pc', 'route', waypoint), /inbound-vip\|80\|http\|web\.shop/);
    assert.match(
      await said('pc', 'ep', waypoint, '--status', 'healthy'),
      /envoy:\/\/connect_originate\/10\.\S+:8080 +HEALTHY +OK/,
    );
    const secrets = await said('pc', 'secret', waypoint, '-o', 'json');
    assert.match(secrets, /certificate_chain/);
    assert.doesNotMatch(secrets, /PRIVATE KEY/);
    assert.match(await said('pc', 'rc', waypoint, waypoint), /trust a root in common/);
    assert.match(await said('pc', 'log', waypoint), /active loggers:\n {2}all: info/);
    assert.match((await aquifer('pc', 'cluster', 'ds/ztunnel.istio-system')).stderr, /^aquifer: there is no DaemonSet/);
  });

  test('policies by who enforces them, and what configures a pod and a service', async () => {
    assert.match(await said('x', 'authz', 'check', 'deploy/waypoint.shop'), /DENY +no-delete\.shop +1/);
    assert.match(await said('x', 'authz', 'check', 'deploy/web.shop'), /ALLOW +own\.shop +1/);
    const [web] = await lab.podsOf('shop/web');
    const pod = await said('x', 'des', 'pod', `${web!.metadata.name}.shop`);
    assert.match(pod, /In the mesh[\s\S]*Waypoint: waypoint\.shop[\s\S]*AuthorizationPolicy: own\.shop/);
    assert.match(
      await said('x', 'describe', 'svc', 'web', '-n', 'shop'),
      /AuthorizationPolicy: no-delete\.shop, DENY, 1 rules/,
    );
  });

  test('tap: who speaks to whom now', async () => {
    const line = await said('tap', '--from', 'client', '--max-lines', '1', '--duration', '30s');
    assert.match(
      line,
      /^\+ outbound +client-\S+\.shop:\d+ -> web\.shop\.svc\.cluster\.local:80 {2}HBONE {2}spiffe:\/\/\S+\/sa\/client -> spiffe/,
    );
  });

  test('tap: requests with who sent them, and why one that happened was refused', async () => {
    const [client] = await lab.podsOf('shop/client');
    const pod = { namespace: 'shop', name: client!.metadata.name };
    const ended = aquifer('tap', '--only', 'requests', '--from', 'client', '--max-lines', '2', '--duration', '60s');
    let isOver = false;
    void ended.then(() => {
      isOver = true;
    });
    // It follows what comes after it has begun.
    await until(
      'two requests are told',
      async () => {
        await lab.exec(pod, ['curl', '-s', '-m', '5', '-X', 'DELETE', 'http://web/books']);
        return isOver;
      },
      patience,
    );
    const { stdout, stderr } = await ended;
    const [line = ''] = stdout.split('\n');
    assert.match(
      line,
      /^= request {3}client-\S+\.shop:\d+ -> web\.shop\.svc\.cluster\.local:80 {2}DELETE \/books 403 \d+ms {2}spiffe:\S+\/sa\/client {2}\S+ \(refused by policy ns\[shop\]-policy\[no-delete\]/,
      stderr,
    );
    const told = / {2}(\S+) \(refused/.exec(line)?.[1] ?? '';
    const why = await said('why', '--request-id', told);
    assert.match(
      why,
      /^shop\/waypoint-\S+: .*"DELETE \/books HTTP\/1\.1" 403 [\s\S]* {2}refused by policy ns\[shop\]-policy\[no-delete\]-rule\[0\]-generation\[\d+\]$/m,
    );
    const unknown = await aquifer('why', '--request-id', 'no-such-request');
    assert.deepEqual([unknown.code, /none of \d+ access logs has "no-such-request"/.test(unknown.stderr)], [1, true]);
  });

  test('check: nothing failed, and what would be before an installation', async () => {
    const text = await said('check');
    assert.match(text, /^ {2}ok {4}ztunnel: ready on all 2 nodes$/m);
    assert.match(text, /, 0 failed\n$/);
    await said('x', 'precheck');
    assert.match(await said('check', '--node'), /eBPF captures/);
  });

  test('a bug report has objects, logs and dumps, and no secret', async () => {
    await said('bug-report', '--output-dir', folder);
    execFileSync('tar', ['-xzf', 'bug-report.tar.gz'], { cwd: folder });
    const files = execFileSync('find', ['bug-report', '-type', 'f'], { cwd: folder, encoding: 'utf8' });
    for (const wanted of ['objects/Pod.json', 'check.txt', 'istiod/istiod/syncz.json', 'config_dump.json'])
      assert.ok(files.includes(wanted), `${wanted} in ${files}`);
    const keys = execFileSync(
      'sh',
      ['-c', "grep -rlE 'PRIVATE KEY-----|eyJ[A-Za-z0-9_-]{20,}\\.eyJ' bug-report || true"],
      { cwd: folder, encoding: 'utf8' },
    );
    assert.equal(keys, '');
  });

  test('an istiod that is not there is told in one line', async () => {
    const { code, stderr, stdout } = await aquifer('ps', '--revision', 'none');
    assert.deepEqual(
      [code, stdout, stderr],
      [
        1,
        '',
        'aquifer: no istiod of revision none runs in namespace istio-system; aquifer check says what is missing\n',
      ],
    );
    assert.equal((await aquifer('ps', '--no-such-flag')).code, 64);
  });

  test('names complete from the cluster', async () => {
    const [web] = await lab.podsOf('shop/web');
    assert.equal(await said('__complete', 'pc', 'c', '-n', 'shop', 'web'), `words\n${web!.metadata.name}\n`);
  });
});
