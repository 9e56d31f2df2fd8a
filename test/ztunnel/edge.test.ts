/** What comes in and goes out at a pod's edge, with the real supervisor and its workers: SOCKS, PROXY protocol, revocation. */
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { networkAddress, serves, service, waypoint } from '../../common/testing/builders.ts';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { address, Bed, call, echoService, pods, vip } from './bed.ts';

/** Sends hexadecimal digits to a port and prints, as such, what comes back before the end, or the error. */
const raw = `
const s = require('node:net').connect({ host: process.argv[1], port: +process.argv[2] });
let got = '';
s.on('data', (d) => { got += d.toString('hex'); if (got.endsWith(Buffer.from('hello').toString('hex'))) s.end(); });
s.on('error', (e) => { got += e.code; });
s.on('close', () => console.log(got));
s.write(Buffer.from(process.argv[3], 'hex'));
setTimeout(() => { console.log('timeout'); process.exit(); }, 12000).unref();`;

const hex = (text: string) => Buffer.from(text).toString('hex');
const greeting = '050100';
const byName = (name: string) => `05010003${name.length.toString(16).padStart(2, '0')}${hex(name)}0050`;
const byAddress = (ip: string) => `05010001${Buffer.from(ip.split('.').map(Number)).toString('hex')}0050`;
const echoed = `0500${'05000001000000000000'}${hex(`peer ${address.a}\nhello`)}\n`;

const guardedVip = '10.96.77.2';
const wpService = service({ name: 'wp', ports: [{ servicePort: 15_008, targetPort: 15_008 }] });
const guarded = service({
  name: 'guarded',
  addresses: [networkAddress(`/${guardedVip}`)],
  waypoint: waypoint(`default/${wpService.hostname}`),
});
const sandwiched = {
  ...pods.b,
  services: new Map([...serves(echoService), ...serves(wpService, 15_008, 15_008)]),
  applicationTunnel: { protocol: 'PROXY' as const, port: 15_088 },
};

/** Prints each PROXY header as JSON and echoes what follows it. */
const proxied = `
require('node:net').createServer((s) => {
  s.on('error', () => {});
  s.once('data', (d) => {
    const end = 16 + d.readUInt16BE(14);
    const ip = (at) => [...d.subarray(at, at + 4)].join('.');
    const id = d.subarray(31, end).toString();
    console.log(JSON.stringify([d.subarray(12, 14).toString('hex'), ip(16), ip(20) + ':' + d.readUInt16BE(26), d[28].toString(16), id, s.remoteAddress]));
    s.write(d.subarray(end));
    s.pipe(s);
  });
}).listen(15088, '127.0.0.1', () => console.log('up'));`;

describe("a pod's edge", { skip: skipUnless('root', 'addon', 'program:nft', 'program:setpriv') }, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make();
    const settings = { UNSTABLE_ENABLE_SOCKS5: 'true', CRL_PATH: bed.controlPlane.crlPath };
    await bed.startZtunnel(settings, [pods.a, pods.b, echoService, wpService, guarded]);
    assert.equal(await bed.add('a'), '');
    assert.equal(await bed.add('b'), '');
    assert.equal(await bed.agent.newest.ask({ kind: 'snapshotSent' }), '');
    await bed.ready();
    await bed.echo('b', 8080);
  });
  after(() => bed.remove());

  test('SOCKS leads into the mesh by address and by a name of the mesh', async () => {
    for (const request of [byAddress(vip), byName('echo.default.svc.cluster.local'), byName('echo')]) {
      assert.equal(await bed.run('a', raw, '127.0.0.1', '15080', greeting + request + hex('hello')), echoed, request);
    }
    const metrics = await bed.get('metrics', '/metrics');
    assert.match(metrics, /istio_tcp_connections_opened_total\{[^}]*reporter="source"[^}]*mutual_tls/);
  });

  test('hostile clients of SOCKS are refused and counted, and other calls go on', async () => {
    const rows: readonly [string, string][] = [
      ['04010050', ''],
      ['050102', '05ff'],
      [`${greeting}05020001`, '050005070001000000000000'],
      [`${greeting}0501000700`, '050005080001000000000000'],
      [`${greeting}${byAddress('127.0.0.1').slice(0, -4)}3a99`, '050005020001000000000000'],
      [hex('GET / HTTP/1.1\r\n\r\n'), ''],
    ];
    for (const [sent, got] of rows) {
      assert.equal(await bed.run('a', raw, '127.0.0.1', '15080', sent), `${got}\n`, sent);
      assert.equal(await bed.run('a', call, vip, '80'), `peer ${address.a} hello\n`);
    }
    const metrics = await bed.get('metrics', '/metrics');
    assert.match(metrics, /aquifer_connections_refused_total\{reason="socks5"\} 5/);
    for (const [from, to] of [
      ['a', address.b],
      ['a', address.a],
      ['b', address.b],
    ] as const) {
      assert.doesNotMatch(await bed.run(from, raw, to, '15080', greeting), /^0500/, `${from} to ${to}`);
    }
  });

  test('what is no DNS is answered by its code or not at all, and counted; names of the mesh are answered after each', async () => {
    const answers = `
      const [, to, sent] = process.argv;
      const udp = require('node:dgram').createSocket('udp4');
      const dns = new (require('node:dns').promises.Resolver)();
      dns.setServers([to]);
      let got = '';
      udp.on('message', (m) => { got = String(m[3] & 15); });
      udp.send(Buffer.from(sent, 'hex'), 53, to, async () => {
        const found = await dns.resolve4('echo.default.svc.cluster.local').then((r) => r.join(), (e) => e.code);
        console.log(got + ' ' + found);
        process.exit();
      });`;
    const rows: readonly [string, string, string][] = [
      ['half a header', '0001', ''],
      ['a response', '000181800001000000000000' + '01610000010001', '1'],
      ['another opcode', '000110000001000000000000' + '01610000010001', '4'],
      ['no question', '000101000000000000000000', '1'],
      ['a name that points to itself', '000101000001000000000000' + 'c00c00010001', '1'],
      ['a name that does not end', '000101000001000000000000' + '3f6161', '1'],
    ];
    for (const [what, sent, code] of rows) {
      assert.equal(await bed.run('a', answers, '192.0.2.53', sent), `${code} ${vip}\n`, what);
    }
    const metrics = await bed.get('metrics', '/metrics');
    assert.match(metrics, new RegExp(`aquifer_dns_malformed_total\\{protocol="udp"\\} ${rows.length}`));
    assert.match(
      metrics,
      /istio_dns_requests_total\{request_query_type="A",request_protocol="udp",source_canonical_service="a"/,
    );
  });

  test('a waypoint behind a proxy is told by a PROXY header who calls and what for', async () => {
    bed.controlPlane.push([sandwiched], []);
    const app = bed.node('b', proxied);
    const lines = createInterface(app.stdout!)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'up');
    await until('the tunnel is known', async () => /^\s?hello/.test(await bed.run('a', call, guardedVip, '80')));
    const told = JSON.parse((await lines.next()).value as string) as unknown;
    const spiffe = 'spiffe://cluster.local/ns/default/sa/a';
    assert.deepEqual(told, ['2111', address.a, `${guardedVip}:80`, 'd0', spiffe, '127.0.0.1']);
    app.kill('SIGKILL');
    bed.controlPlane.push([pods.b], []);
    await until('the pod is back', async () => /^peer/.test(await bed.run('a', call, vip, '80')));
  });

  test('revocation cuts open tunnels, refuses new ones, and ends with the next list', async (t) => {
    const refused = () =>
      bed
        .get('metrics', '/metrics')
        .then((m) => /istio_crl_policy_rejections_total\{reporter="(\w+)"\} [1-9]/.exec(m)?.[1]);
    assert.equal(await refused(), undefined);
    assert.match(
      await bed.get('metrics', '/metrics'),
      /istio_crl_untracked_connections_total\{reporter="source"\} [1-9]/,
    );
    const held = bed.node(
      'a',
      `const s = require('node:net').connect({ host: process.argv[1], port: 80 });
       s.on('data', () => console.log('data')); s.on('error', () => {}); s.on('close', () => console.log('closed'));`,
      vip,
    );
    const lines = createInterface(held.stdout!)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'data');
    const at = performance.now();
    await bed.controlPlane.revoke('b');
    assert.equal((await lines.next()).value, 'closed');
    t.diagnostic(`cut after ${Math.round(performance.now() - at)} ms; Istio's own test allows 10 s`);
    assert.doesNotMatch(await bed.run('a', call, vip, '80'), /hello/);
    assert.equal(await refused(), 'source');
    const metrics = await bed.get('metrics', '/metrics');
    assert.match(metrics, /istio_tcp_connections_failed_total\{[^}]*response_flags="CERT_REVOKED"/);
    assert.match(metrics, /istio_tcp_connections_closed_total\{[^}]*response_flags="CERT_REVOKED"/);
    await bed.controlPlane.revoke();
    await until('calls are answered again', async () => /hello/.test(await bed.run('a', call, vip, '80')));
  });
});
