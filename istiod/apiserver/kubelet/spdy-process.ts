/**
 * v4.channel.k8s.io and v5.channel.k8s.io over SPDY: the client opens a stream for each channel and says which by a header. They
 * differ in nothing here, for a stream has an end of its own.
 */
import type { Duplex } from 'node:stream';
import { type Carrier, Channel } from '../../../common/kube/kubelet/channel.ts';
import { type ChannelName, type Channels, channelIds } from '../../../common/kube/kubelet/channels.ts';
import type { ProcessOptions } from '../../../common/kube/kubelet/requests.ts';
import { SpdySession } from '../../../common/kube/spdy/session.ts';
import type { ProcessClient } from './client.ts';

export const processProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

/** Ms for the client to open its streams. */
const openTime = 30_000;

const names: ReadonlyMap<string, ChannelName> = new Map([
  ['stdin', 'stdin'],
  ['stdout', 'stdout'],
  ['stderr', 'stderr'],
  ['error', 'status'],
  ['resize', 'resize'],
]);

export async function spdyProcess(socket: Duplex, options: ProcessOptions): Promise<ProcessClient> {
  const wanted: ChannelName[] = [
    'status',
    ...(['stdin', 'stdout', 'stderr'] as const).filter((name) => options[name]),
    ...(options.tty ? (['resize'] as const) : []),
  ];
  const opened = new Map<ChannelName, Channel>();
  const complete = Promise.withResolvers<void>();
  const session = new SpdySession(socket, ({ headers, channel }) => {
    const name = names.get(headers.get('streamtype') ?? '');
    if (name === undefined || !wanted.includes(name) || opened.has(name)) {
      channel.destroy(new Error('a stream that was not asked for'));
      return;
    }
    opened.set(name, channel);
    if (opened.size === wanted.length) complete.resolve();
  });
  const gone = session.read().then(
    () => undefined,
    () => undefined,
  );
  const late = setTimeout(
    () => complete.reject(new Error(`not all of ${wanted.join(', ')} within ${openTime} ms`)),
    openTime,
  );
  void gone.then(() => complete.reject(new Error('the client is gone')));
  try {
    await complete.promise;
  } catch (e) {
    session.close();
    throw e;
  } finally {
    clearTimeout(late);
  }
  const channel = (name: ChannelName) => opened.get(name) ?? nothing(name);
  const channels: Channels = {
    stdin: channel('stdin'),
    stdout: channel('stdout'),
    stderr: channel('stderr'),
    status: channel('status'),
    resize: channel('resize'),
  };
  return { channels, gone, close: () => session.close() };
}

const nowhere: Carrier = {
  write: (_channel, _bytes, done) => done(),
  end: (_channel, done) => done(),
};

/** Stands for a channel that the client did not want: at its end from the beginning, and takes what nobody sees. */
function nothing(name: ChannelName): Channel {
  const channel = new Channel(channelIds[name], nowhere);
  channel.deliverEnd();
  return channel;
}
