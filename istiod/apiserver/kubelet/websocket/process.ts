/**
 * v4.channel.k8s.io and v5.channel.k8s.io: each message begins with the number of its channel. In v5 the client ends a channel by a
 * message of 255 and its number; in v4 it cannot.
 */
import type { Duplex } from 'node:stream';
import { type Carrier, Channel } from '../../../../common/kube/kubelet/channel.ts';
import { channelIds, channelNames } from '../../../../common/kube/kubelet/channels.ts';
import type { ProcessClient } from '../client.ts';
import { WebSocketConnection } from './connection.ts';
import { closeCodes, WebSocketError } from './frames.ts';

export const processProtocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];
const endOfChannel = 255;

export function webSocketProcess(socket: Duplex, protocol: string): ProcessClient {
  const connection = new WebSocketConnection(socket);
  const carrier: Carrier = {
    write: (channel, bytes, done) => connection.send(Buffer.concat([Buffer.of(channel.id), bytes]), done),
    // Ends of output are told by the status and the end of the connection.
    end: (_channel, done) => done(),
  };
  const channel = (name: keyof typeof channelIds) => {
    const made = new Channel(channelIds[name], carrier);
    made.on('error', () => undefined);
    return made;
  };
  const channels = {
    stdin: channel('stdin'),
    stdout: channel('stdout'),
    stderr: channel('stderr'),
    status: channel('status'),
    resize: channel('resize'),
  };
  const fromClient = (id: number | undefined): Channel => {
    if (id === channelIds.stdin) return channels.stdin;
    if (id === channelIds.resize) return channels.resize;
    throw new WebSocketError(closeCodes.protocol, `a client writes to channels 0 and 4, not to ${id}`);
  };
  const read = connection.read((message) => {
    // A client may send an empty message to keep the connection alive.
    if (message.length === 0) return undefined;
    if (message[0] === endOfChannel && protocol !== 'v4.channel.k8s.io') {
      fromClient(message[1]).deliverEnd();
      return undefined;
    }
    return fromClient(message[0]).deliver(message.subarray(1));
  });
  const lost = () => {
    for (const name of channelNames) channels[name].destroy(new Error('the client is gone'));
  };
  return {
    channels,
    gone: read.then(lost, lost),
    close: () => connection.close(closeCodes.normal),
  };
}
