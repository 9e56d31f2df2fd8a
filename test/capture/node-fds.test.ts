/** What Node does with descriptors made in another netns (ebpf-datapath 3), on the Node that is pinned. */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { Ip, Port } from '../../common/core/net.ts';
import { peerName, socketName, socketsInNetns } from '../../native/index.ts';
import { skipUnless } from '../harness/require.ts';
import { Bed, ip4 } from './bed.ts';

describe('Node adopts descriptors', {
  timeout: 120_000,
  skip: skipUnless('ebpf', 'program:ip', 'program:nsenter'),
}, () => {
  let bed: Bed;
  before(async () => {
    bed = await Bed.make();
    await bed.serve('ext', 8080, 9000);
  });
  after(() => bed.remove());

  const any = (ip: string) => ({ ip: ip as Ip, port: 0 as Port });

  it('listens on a TCP descriptor of a pod', async () => {
    const [fd] = socketsInNetns(bed.netns.p1, { family: 4, type: 'stream', bind: any('0.0.0.0'), backlog: 16 }, 1);
    const server = net.createServer((c) => c.end('pod')).listen({ fd: fd! });
    await once(server, 'listening');
    const { port } = server.address() as net.AddressInfo;
    assert.equal(port, socketName(fd!).port);
    assert.equal((await bed.dialAll({ netns: 'p2' }, ip4.p1, port))[0]?.data, 'pod');
    server.close();
  });

  it('receives on a UDP descriptor of a pod', async () => {
    const [fd] = socketsInNetns(bed.netns.p1, { family: 4, type: 'dgram', bind: any('0.0.0.0') }, 1);
    const socket = dgram.createSocket('udp4');
    socket.bind({ fd: fd! });
    socket.send('x', 9000, ip4.ext);
    const [reply] = (await once(socket, 'message')) as [Buffer];
    assert.match(reply.toString(), /10\.99\.1\.2/);
    socket.close();
  });

  it('connects that very descriptor, from the IP of the pod', async () => {
    const [fd] = socketsInNetns(bed.netns.p1, { family: 4, type: 'stream' }, 1);
    const c = net.connect({ fd: fd!, host: ip4.ext, port: 8080 } as net.NetConnectOpts);
    await once(c, 'connect');
    assert.equal((c as unknown as { _handle: { fd: number } })._handle.fd, fd);
    assert.deepEqual(peerName(fd!), { ip: ip4.ext, port: 8080 });
    assert.equal(socketName(fd!).ip, ip4.p1);
    c.write('x');
    const [data] = (await once(c, 'data')) as [Buffer];
    assert.match(JSON.parse(data.toString()).app, /10\.99\.1\.2/);
    c.destroy();
  });

  it('reports a refused connection and does not dial again from its own netns', async () => {
    const [fd] = socketsInNetns(bed.netns.p1, { family: 4, type: 'stream' }, 1);
    // Port 8099 is closed at the pod and, were it dialled from here, would be unreachable: the test's own netns has no route.
    const c = net.connect({ fd: fd!, host: ip4.ext, port: 8099 } as net.NetConnectOpts);
    const [error] = (await once(c, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    if (!c.closed) await once(c, 'close');
    assert.equal((c as unknown as { _handle: unknown })._handle, null);
  });
});
