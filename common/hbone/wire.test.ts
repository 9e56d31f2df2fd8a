import assert from 'node:assert/strict';
import { connect as connectHttp2 } from 'node:http2';
import { it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '../core/clock.ts';
import { createFakeCa } from '../testing/fake-ca.ts';
import { dialTcp, listenTcp, loopbackPort } from '../testing/hbone-rig.ts';
import { until } from '../testing/until.ts';
import { createHboneServer } from './server.ts';
import { clientSessionOptions } from './session.ts';
import { defaultWire } from './wire.ts';

const windows = { stream: 70_000, connection: 100_000, frame: 20_000 };

it('promises the windows and the frame size that were chosen', async () => {
  const certificate = await (await createFakeCa()).issue({ trustDomain: 'td', namespace: 'n', serviceAccount: 's' });
  const server = createHboneServer({
    clock: systemClock,
    certificate: async () => certificate,
    onTunnel: () => undefined,
    onError: () => undefined,
    wire: { ...defaultWire, windows },
  });
  const { server: tcp, address } = await listenTcp((socket) => server.serve(socket, loopbackPort(1), loopbackPort(2)));
  const socket = connectTls({
    socket: await dialTcp(address),
    key: certificate.privateKey,
    cert: certificate.chain.join(),
    rejectUnauthorized: false,
    ALPNProtocols: ['h2'],
  });
  const session = connectHttp2('https://hbone', { createConnection: () => socket });
  try {
    const settings = await new Promise<{ initialWindowSize?: number; maxFrameSize?: number }>((resolve) =>
      session.once('remoteSettings', resolve),
    );
    assert.deepEqual([settings.initialWindowSize, settings.maxFrameSize], [windows.stream, windows.frame]);
    await until('the window of the connection', () => session.state.remoteWindowSize === windows.connection);
  } finally {
    session.destroy();
    server.close();
    tcp.close();
  }
});

it('lets the client say the same', () => {
  const { initialWindowSize, maxFrameSize, enablePush } = clientSessionOptions(windows).settings!;
  assert.deepEqual([initialWindowSize, maxFrameSize, enablePush], [windows.stream, windows.frame, false]);
});
