/** The node proxy at its limits, and at its end: bursts, too few descriptors, drain. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, afterEach, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { skipUnless } from '../harness/require.ts';
import { address, Bed, burst, vip } from './bed.ts';

/** Opens connections one by one and keeps them; prints how many answered, then one line for each line it is given. */
const hold = `
const net = require('node:net');
const [, host, port, count] = process.argv;
const sockets = [];
let lost = 0;
const open = (i) => new Promise((done) => {
  const s = net.connect({ host, port: +port });
  s.once('data', () => { sockets.push(s); done(); });
  s.on('error', () => {});
  s.once('close', () => { if (sockets.includes(s)) lost++; done(); });
});
(async () => {
  for (let i = 0; i < +count; i++) await open(i);
  console.log('open ' + sockets.length);
  process.stdin.on('data', () => {
    let answered = 0, waited = sockets.length;
    for (const s of sockets) { s.once('data', () => { if (++answered === waited) console.log('alive ' + answered + ' lost ' + lost); }); s.write('x'); }
  });
})();`;

describe('ztunnel at its limits', { skip: skipUnless('root', 'addon', 'program:nft', 'program:setpriv') }, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make();
    await bed.echo('b', 8080);
  });
  afterEach(() => bed.stopZtunnel());
  after(() => bed.remove());

  async function start(env: Record<string, string> = {}): Promise<void> {
    await bed.startZtunnel(env);
    assert.equal(await bed.add('a'), '');
    assert.equal(await bed.add('b'), '');
    assert.equal(await bed.agent.newest.ask({ kind: 'snapshotSent' }), '');
    await bed.ready();
  }

  test('3,000 connections at once lose none', async () => {
    await start();
    assert.equal(await bed.run('a', burst, vip, '80', '3000'), 'bad 0\n');
  });

  test('near the limit of descriptors new connections are refused and counted, open ones go on', async () => {
    await start({ AQUIFER_MAX_DESCRIPTORS: '200' });
    const client = bed.node('a', hold, address.b, '8080', '300');
    const lines = createInterface(client.stdout!)[Symbol.asyncIterator]();
    const open = Number(/open (\d+)/.exec((await lines.next()).value!)![1]);
    assert.ok(open > 10 && open < 150, `${open} of 300 are open`);
    assert.match(
      await bed.get('metrics', '/metrics'),
      /aquifer_connections_refused_total\{reason="descriptors"\} [1-9]/,
    );
    client.stdin!.write('go\n');
    assert.equal((await lines.next()).value, `alive ${open} lost 0`);
    const ended = once(client, 'exit');
    client.kill();
    await ended;
    await until('room for new connections', async () => (await bed.run('a', burst, vip, '80', '5')) === 'bad 0\n');
  });

  test('draining lets an open connection end by itself, and cuts it at the deadline', async () => {
    await start({ CONNECTION_TERMINATION_DEADLINE: '700ms' });
    const client = bed.node('a', hold, address.b, '8080', '3');
    const lines = createInterface(client.stdout!)[Symbol.asyncIterator]();
    assert.equal((await lines.next()).value, 'open 3');
    const drained = bed.stopZtunnel();
    client.stdin!.write('go\n');
    assert.equal((await lines.next()).value, 'alive 3 lost 0');
    const began = performance.now();
    await drained;
    assert.ok(performance.now() - began < 3_000);
    client.kill();
  });

  test('two workers share the connections, and their metrics are added up', async () => {
    await bed.startZtunnel({ AQUIFER_WORKERS: '2' });
    assert.equal(await bed.add('a'), '');
    assert.equal(await bed.add('b'), '');
    assert.equal(await bed.agent.newest.ask({ kind: 'snapshotSent' }), '');
    await bed.ready();
    assert.equal(bed.supervisor.workerPids().length, 2);
    assert.equal(await bed.run('a', burst, vip, '80', '200'), 'bad 0\n');
    const metrics = await bed.get('metrics', '/metrics');
    const opened = [...metrics.matchAll(/^istio_tcp_connections_opened_total\{[^}]*reporter="source"[^}]*\} (\d+)$/gm)];
    assert.equal(
      opened.reduce((n, m) => n + Number(m[1]), 0),
      200,
    );
  });
});
