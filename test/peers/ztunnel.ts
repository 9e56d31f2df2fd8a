/**
 * Runs Istio's ztunnel against ours, both ways and in both modes, from a mesh in a file and a CA in a folder:
 *
 *   scripts/pinned-node test/peers/ztunnel.ts PATH_OF_ZTUNNEL FOLDER_OF_ITS_TEST_CA
 *
 * The binary must be built with its feature `testing` (FAKE_CA); the folder is the one with root-cert.pem and ca-key.pem in its
 * source tree. Needs root. Prints a line a case; exits with 1 when one failed.
 */
import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { describeError } from '../../common/core/errors.ts';
import { call } from '../ztunnel/bed.ts';
import { address, FileMeshBed, type Machine, redirectByMark, vip } from '../ztunnel/file-mesh-bed.ts';

type Kind = 'aquifer' | 'istio';
type Mode = 'dedicated' | 'shared';

const scrape = `fetch('http://127.0.0.1:15020/metrics').then((r) => r.text()).then(console.log);`;

/** Sends so many bytes through an echo and prints whether all came back. */
const bulk = `
const [, host, port, size] = process.argv;
const s = require('node:net').connect({ host, port: +port });
let got = -1;
s.on('data', (d) => {
  if (got < 0) { d = d.subarray(d.indexOf(10) + 1); got = 0; }
  got += d.length;
  if (got === +size) { console.log('all'); s.destroy(); }
});
s.on('error', (e) => console.log(e.code));
s.on('close', () => process.exit());
s.write(Buffer.alloc(+size, 7));`;

async function run(istio: string, ca: string, mode: Mode, from: Kind, to: Kind): Promise<void> {
  const bed = await FileMeshBed.make({ rules: redirectByMark, ca });
  try {
    const start = (machine: Machine, kind: Kind) => {
      const argv = kind === 'istio' ? [istio, 'proxy', 'ztunnel'] : undefined;
      const env = { PACKET_MARK: '1337' };
      return mode === 'dedicated' ? bed.proxy(machine, env, argv) : bed.sharedProxy(machine, { argv });
    };
    await Promise.all([start('a', from), start('b', to)]);
    await bed.echo('b', 8080);
    for (const [host, port] of [
      [vip, '80'],
      [address.b, '8080'],
    ] as const) {
      const answer = await bed.run('a', call, host, port);
      if (answer !== `peer ${address.a} hello\n`) throw new Error(`${host}:${port} answered ${JSON.stringify(answer)}`);
    }
    const got = await bed.run('a', bulk, vip, '80', '20000000');
    if (got !== 'all\n') throw new Error(`20 MB through the service: ${JSON.stringify(got)}`);
    const metrics = await bed.run(mode === 'dedicated' ? 'b' : 'b-node', scrape);
    const mutual = metrics
      .split('\n')
      .filter((l) => /^istio_tcp_connections_opened_total\{.*reporter="destination"/.test(l))
      .filter((l) => l.includes('spiffe://cluster.local/ns/default/sa/a') && l.includes('mutual_tls'));
    if (mutual.length === 0) throw new Error(`no mutual TLS from a in the metrics of b:\n${metrics}`);
  } finally {
    await bed.remove();
  }
}

const [istio, ca] = process.argv.slice(2);
if (istio === undefined || ca === undefined) {
  process.stderr.write('usage: test/peers/ztunnel.ts PATH_OF_ZTUNNEL FOLDER_OF_ITS_TEST_CA\n');
  process.exit(2);
}
accessSync(istio, constants.X_OK);
accessSync(join(ca, 'ca-key.pem'), constants.R_OK);
let failed = false;
for (const mode of ['dedicated', 'shared'] as const) {
  for (const [from, to] of [
    ['istio', 'aquifer'],
    ['aquifer', 'istio'],
    ['aquifer', 'aquifer'],
    ['istio', 'istio'],
  ] as const) {
    const what = `${mode}: ${from} -> ${to}`;
    try {
      await run(istio, ca, mode, from, to);
      console.log(`ok    ${what}`);
    } catch (e) {
      failed = true;
      console.log(`fails ${what}: ${describeError(e)}`);
    }
  }
}
process.exit(failed ? 1 : 0);
