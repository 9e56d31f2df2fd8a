/**
 * Lets a real istioctl read what our admin server dumps, and ask our istiod:
 *
 *   scripts/pinned-node test/peers/istioctl.ts [PATH_OF_ISTIOCTL]
 *
 * Without a path the one on PATH. Needs root, for two proxies that carry a connection meanwhile; no Kubernetes: the dump is given as
 * a file, and istiod runs with an API server of its own. Prints a line a command; exits with 1 when one failed.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { systemClock } from '../../common/core/clock.ts';
import { describeError } from '../../common/core/errors.ts';
import { LogLevels } from '../../common/core/log.ts';
import { startTestProxy } from '../../common/testing/test-proxy.ts';
import { parseStandaloneConfig } from '../../istiod/standalone/config.ts';
import { startStandalone } from '../../istiod/standalone/standalone.ts';
import { address, FileMeshBed, redirectByMark, vip } from '../ztunnel/file-mesh-bed.ts';

const istioctl = process.argv[2] ?? 'istioctl';

const commands: readonly { readonly words: readonly string[]; readonly shows: readonly RegExp[] }[] = [
  { words: ['workload'], shows: [new RegExp(`default +a +.*${address.a}.*HBONE`), new RegExp(address.b)] },
  { words: ['workload', '-o', 'json'], shows: [/"serviceAccount": "a"/, /"workloadIps"/] },
  { words: ['service'], shows: [new RegExp(`default +echo +${vip}`)] },
  { words: ['policy'], shows: [/default +only-a +Allow +WorkloadSelector/] },
  { words: ['certificate'], shows: [/spiffe:\/\/cluster.local\/ns\/default\/sa\/a +Leaf +Available/] },
  { words: ['connections', '--raw'], shows: [new RegExp(`a.default +Outbound.*${vip}:80`)] },
  { words: ['all'], shows: [/only-a/, /echo/] },
];

/** Opens a connection, fetches the dump while it is open, prints the dump. */
const dumpWhileOpen = `
const s = require('node:net').connect({ host: process.argv[1], port: 80 });
s.once('data', async () => {
  console.log(await (await fetch('http://127.0.0.1:15000/config_dump')).text());
  process.exit();
});`;

const bed = await FileMeshBed.make({ rules: redirectByMark });
let failed = false;
try {
  await Promise.all([bed.proxy('a', { PACKET_MARK: '1337' }), bed.proxy('b', { PACKET_MARK: '1337' })]);
  await bed.echo('b', 8080);
  const file = join(bed.folder, 'dump.json');
  writeFileSync(file, await bed.run('a', dumpWhileOpen, vip));
  for (const { words, shows } of commands) {
    const line = `istioctl ztunnel-config ${words.join(' ')}`;
    try {
      const output = execFileSync(istioctl, ['ztunnel-config', ...words, '--file', file], { encoding: 'utf8' });
      const missing = shows.filter((pattern) => !pattern.test(output));
      if (missing.length > 0) throw new Error(`does not show ${missing.join(', ')}:\n${output}`);
      console.log(`ok    ${line}`);
    } catch (e) {
      failed = true;
      console.log(`fails ${line}: ${describeError(e)}`);
    }
  }
} finally {
  await bed.remove();
}

const istiodCommands: readonly { readonly words: readonly string[]; readonly shows: readonly RegExp[] }[] = [
  { words: ['proxy-status'], shows: [/zt-1\.istio-system +Kubernetes .*WADS,WDS/] },
  { words: ['proxy-status', '-v', '1', '-n', 'istio-system'], shows: [/SYNCED/] },
  { words: ['x', 'version'], shows: [/control plane version: \d/, /1 proxies/] },
  { words: ['x', 'internal-debug', 'adsz'], shows: [/"totalClients": 1/] },
];

const dir = mkdtempSync(join(tmpdir(), 'aq-istioctl-'));
const loopback = ['grpcAddr', 'secureGRPCAddr', 'monitoringAddr', 'httpAddr', 'httpsAddr', 'consoleAddr'].map(
  (f) => `--${f}=127.0.0.1:0`,
);
const parsed = parseStandaloneConfig(['--standalone', '--data-dir', dir, '--listen=127.0.0.1:0', ...loopback], {});
if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed));
const sink = {
  levels: new LogLevels('warn'),
  format: 'plain' as const,
  write: (l: string) => void process.stderr.write(l),
};
const standalone = await startStandalone(parsed.config, { clock: systemClock, sink });
const stop = new AbortController();
const plain = `127.0.0.1:${standalone.discovery.ports.grpc}`;
const proxy = startTestProxy({
  plane: () => `http://${plain}`,
  node: { podName: 'zt-1', metadata: { CLUSTER_ID: 'Kubernetes' } },
  signal: stop.signal,
});
await proxy.ready;
for (const { words, shows } of istiodCommands) {
  const line = `istioctl ${words.join(' ')}`;
  try {
    const { stdout } = await promisify(execFile)(istioctl, [...words, '--xds-address', plain, '--plaintext'], {
      env: { ...process.env, KUBECONFIG: standalone.apiServer.kubeconfig },
      timeout: 60_000,
    });
    const missing = shows.filter((pattern) => !pattern.test(stdout));
    if (missing.length > 0) throw new Error(`does not show ${missing.join(', ')}:\n${stdout}`);
    console.log(`ok    ${line}`);
  } catch (e) {
    failed = true;
    console.log(`fails ${line}: ${describeError(e)}`);
  }
}
stop.abort();
await standalone.stop();
rmSync(dir, { recursive: true });
process.exit(failed ? 1 : 0);
