/** CONNECTs that end at the waypoint, in Envoy and in ours: who sees what when one side ends its direction, and when a route has a timeout. */
import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import {
  connectFrame,
  flag,
  frame,
  frameType,
  preface,
  type RawPeer,
  rawPlainClient,
  settingsAck,
  settingsFrame,
} from '../../common/testing/h2-frames.ts';
import { until } from '../../common/testing/until.ts';
import { httpFilter, staticCluster } from '../../waypoint/testing/rig.ts';
import { type Bootstrap, Envoy, skipWithoutEnvoy } from '../harness/envoy.ts';
import { WaypointProcess } from '../harness/waypoint.ts';
import { tunnelledElse } from './differences.ts';

/** Ms of the route `short`. */
const timeout = 400;

const manager = { upgrade_configs: [{ upgrade_type: 'CONNECT' }], http2_protocol_options: { allow_connect: true } };

function bootstrap(port: number): Bootstrap {
  const listener = (name: string, timeout: string) => ({
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      {
        filters: [
          httpFilter(
            [
              {
                match: { connect_matcher: {} },
                route: {
                  cluster: 'app',
                  timeout,
                  upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }],
                },
              },
            ],
            { stat_prefix: name, ...manager },
          ),
        ],
      },
    ],
  });
  return {
    node: { id: 'tunnels', cluster: 'tunnels' },
    static_resources: {
      clusters: [staticCluster('app', [port])],
      listeners: [listener('long', '0s'), listener('short', `${timeout / 1_000}s`)],
    },
  };
}

/** What a peer of bytes saw. */
class Seen {
  text = '';
  ended = false;
  gone = false;
}

/** The server's side of each tunnel, in order. */
class App {
  readonly tunnels: { readonly socket: Socket; readonly seen: Seen }[] = [];
  readonly #server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    this.tunnels.push({ socket, seen: watch(socket) });
  });

  async port(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    for (const { socket } of this.tunnels) socket.destroy();
    this.#server.close();
  }
}

function watch(socket: Socket): Seen {
  const seen = new Seen();
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => {
    seen.text += chunk.toString('latin1');
  });
  socket.on('end', () => {
    seen.ended = true;
  });
  socket.on('close', () => {
    seen.gone = true;
  });
  return seen;
}

/** A client's side of a tunnel. */
interface Client {
  seen(): Seen;
  write(text: string): void;
  end(): void;
  close(): void;
}

async function byHttp1(port: number): Promise<Client> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const seen = watch(socket);
  socket.write('CONNECT a.test:80 HTTP/1.1\r\nhost: a.test:80\r\n\r\n');
  await until('the acceptance', () => seen.text.includes('\r\n\r\n'));
  return {
    seen: () => Object.assign(new Seen(), seen, { text: seen.text.split('\r\n\r\n')[1] }),
    write: (text) => socket.write(text),
    end: () => socket.end(),
    close: () => socket.destroy(),
  };
}

async function byHttp2(port: number): Promise<Client> {
  const peer: RawPeer = await rawPlainClient(connect(port, '127.0.0.1'));
  peer.socket.on('error', () => undefined);
  peer.send(preface, settingsFrame(), settingsAck, connectFrame(1));
  const mine = () => peer.frames.filter((f) => f.stream === 1);
  await until('the acceptance', () => mine().some((f) => f.type === frameType.headers));
  const data = (text: string, flags: number) => peer.send(frame(frameType.data, flags, 1, Buffer.from(text)));
  return {
    seen: () => {
      const frames = mine();
      const parts = frames.filter((f) => f.type === frameType.data).map((f) => f.payload);
      const reset = frames.some((f) => f.type === frameType.rstStream);
      const ended = frames.some((f) => (f.flags & flag.endStream) !== 0 && f.type === frameType.data);
      return { text: Buffer.concat(parts).toString('latin1'), ended, gone: reset };
    },
    write: (text) => data(text, 0),
    end: () => data('', flag.endStream),
    close: () => peer.socket.destroy(),
  };
}

const versions = [
  ['HTTP/1.1', byHttp1],
  ['HTTP/2', byHttp2],
] as const;

describe('a tunnel', { skip: skipWithoutEnvoy() }, () => {
  const app = new App();
  const proxies: (Envoy | WaypointProcess)[] = [];

  before(async () => {
    const config = bootstrap(await app.port());
    proxies.push(await Envoy.start(config), await WaypointProcess.start(config));
  });
  after(async () => {
    for (const proxy of proxies) await proxy.stop();
    app.close();
  });

  /** One that has carried bytes both ways, and its two ends. */
  async function open(proxy: Envoy | WaypointProcess, listener: string, dial: (port: number) => Promise<Client>) {
    const earlier = app.tunnels.length;
    const client = await dial(await proxy.port(listener));
    client.write('hello');
    await until('its bytes at the server', () => app.tunnels[earlier]?.seen.text === 'hello');
    const server = app.tunnels[earlier]!;
    server.socket.write('welcome');
    await until('the answer', () => client.seen().text === 'welcome');
    return { client, server };
  }

  /** The same in both, but for what the table of differences says. */
  async function same(name: string, what: (proxy: Envoy | WaypointProcess) => Promise<string>): Promise<void> {
    const [envoy, ours] = [await what(proxies[0]!), await what(proxies[1]!)];
    const known = tunnelledElse.find((row) => row.name === name);
    assert.deepEqual([envoy, ours], known ? [known.envoy, known.ours] : [envoy, envoy]);
  }

  for (const [version, dial] of versions) {
    it(`by ${version} whose client ends`, () =>
      same(`${version}: the client ends`, async (proxy) => {
        const { client, server } = await open(proxy, 'long', dial);
        client.end();
        await until('the end at the server', () => server.seen.ended);
        server.socket.write(' late');
        await until('the answer, or its end', () => client.seen().text === 'welcome late' || client.seen().gone);
        const seen = client.seen().text === 'welcome late' ? 'hears the server' : 'is closed';
        client.close();
        return seen;
      }));

    it(`by ${version} whose server ends`, () =>
      same(`${version}: the server ends`, async (proxy) => {
        const { client, server } = await open(proxy, 'long', dial);
        server.socket.end(' bye');
        await until('the last bytes', () => client.seen().text === 'welcome bye');
        client.write(' late');
        await until('bytes, or the end', () => server.seen.text === 'hello late' || server.seen.gone);
        const seen = server.seen.text === 'hello late' ? 'hears the client' : 'is closed';
        client.close();
        return seen;
      }));

    it(`by ${version} outlives the timeout of its route`, () =>
      same(`${version}: a timeout`, async (proxy) => {
        const { client, server } = await open(proxy, 'short', dial);
        // A request is complete when the client has ended: from then on the timeout counts, and tells here that it has passed.
        const later = await open(proxy, 'short', byHttp2);
        later.client.end();
        await until('the timeout', () => later.client.seen().gone);
        client.write(' late');
        server.socket.write(' late');
        await until(
          'both, or the end',
          () => client.seen().gone || (client.seen().text === 'welcome late' && server.seen.text === 'hello late'),
        );
        const seen = client.seen().gone ? 'is closed' : 'goes on';
        client.close();
        later.client.close();
        return seen;
      }));
  }
});
