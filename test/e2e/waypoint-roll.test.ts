/**
 * The proxy of a server's node is replaced under calls through a waypoint, which keeps tunnels to it, and connections in those: no call is
 * lost, neither of who opens a connection for each nor of who keeps one.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { ClientProgram } from '../harness/client-program.ts';
import { longOr, skipUnless } from '../harness/require.ts';
import { deployment, meshNamespace, World, yaml } from './world.ts';

const checkout = join(import.meta.dirname, '../..');
const rolls = longOr(2, 20);
/** ms between the calls that open a connection each. */
const every = 20;
/** ms that an answer takes: on a connection that is kept nearly always one is under way. */
const thinking = 30;

describe('node proxies roll behind a waypoint', { skip: skipUnless('ebpf', 'program:ip', 'program:nft') }, () => {
  let world: World;
  before(async () => {
    world = await World.up('wproll');
    await world.lab.apply(web);
    await world.lab.waitReady();
    await world.lab.waitEnrolled();
    const aquifer = new ClientProgram(join(checkout, 'bin/aquifer'), world.lab.kubeconfig);
    await aquifer.ok(['waypoint', 'apply', '-n', meshNamespace, '--enroll-namespace', '--wait']);
  });
  after(() => world?.down());

  test(`${rolls} restarts of the server's lose no call`, async (t) => {
    const { lab } = world;
    const client = await world.ref('client');
    const { v4: server } = await world.vips();
    const { v4: ip } = await world.vips('web');
    const single = await world.loop(client, server, every, 'roll');
    // One request after the other, on one connection.
    const argv = ['curl', '-s', '-o', '/dev/null', '-w', '%{stderr}%{http_code}\\n', `http://${ip}/?[1-1000000]`];
    const curl = await lab.spawn(client, argv);
    const statuses: string[] = [];
    createInterface({ input: curl.stderr }).on('line', (line) => statuses.push(line));
    await until('calls are made', () => statuses.length > 5 && single.lines.length > 5, 60_000);
    for (let i = 0; i < rolls; i++) await lab.rollProxy('node-2');
    const [calls, requests] = [single.lines.length, statuses.length];
    await until(
      'calls are made afterwards',
      () => statuses.length > requests + 5 && single.lines.length > calls + 5,
      60_000,
    );
    curl.kill('SIGKILL');
    await curl.exited;
    const lost = (await single.finish()).filter(({ error }) => error !== '');
    assert.deepEqual(lost, [], `of ${single.lines.length} calls`);
    assert.deepEqual([...new Set(statuses)], ['200'], `of ${statuses.length} requests on a connection that is kept`);
    t.diagnostic(`${single.lines.length} calls and ${statuses.length} requests, 0 lost`);
  });
});

const thinker = `require('node:http').createServer((_, answer) => setTimeout(() => answer.end('ok'), ${thinking})).listen(8080)`;
const web = [
  deployment({ name: 'web', node: 'node-2', command: [join(checkout, 'scripts/pinned-node'), '-e', thinker] }),
  yaml([
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { namespace: meshNamespace, name: 'web' },
      spec: {
        selector: { app: 'web' },
        ipFamilyPolicy: 'RequireDualStack',
        ports: [{ name: 'http', port: 80, targetPort: 8080 }],
      },
    },
  ]),
].join('');
