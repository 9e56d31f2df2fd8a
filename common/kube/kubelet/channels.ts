/**
 * The channels of a process on one connection between API server and kubelet. A frame is the channel's number (one byte), the
 * length of what follows (four bytes, big-endian) and that many bytes; a length of zero ends the channel. The connection carries no
 * other frames, and no flow control but its own: a channel that nobody reads holds up the others, as in Kubernetes.
 */
import type { Duplex } from 'node:stream';
import { finished } from 'node:stream/promises';
import { MeshError } from '../../core/errors.ts';
import { type Carrier, Channel } from './channel.ts';

/** Numbers of Kubernetes' own channel protocols. */
export const channelIds = { stdin: 0, stdout: 1, stderr: 2, status: 3, resize: 4 } as const;
export type ChannelName = keyof typeof channelIds;
export const channelNames: readonly ChannelName[] = ['stdin', 'stdout', 'stderr', 'status', 'resize'];

/** Of one frame; a writer splits what is longer. */
export const longestFrame = 64 * 1024;
const headLength = 5;

export interface Frame {
  readonly channel: number;
  /** Empty: the channel's end. */
  readonly bytes: Buffer;
}

export function encodeFrame(channel: number, bytes: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headLength + bytes.length);
  frame[0] = channel;
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, headLength);
  return frame;
}

/** Bytes to frames. MeshError PROTOCOL for a frame that is too long or of no channel. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  *read(bytes: Buffer): Generator<Frame> {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= headLength) {
      const channel = this.#rest[0]!;
      const length = this.#rest.readUInt32BE(1);
      if (channel >= channelNames.length) throw new MeshError('PROTOCOL', `there is no channel ${channel}`);
      if (length > longestFrame) throw new MeshError('PROTOCOL', `a frame of ${length} bytes is too long`);
      const end = headLength + length;
      if (this.#rest.length < end) return;
      const frame = { channel, bytes: this.#rest.subarray(headLength, end) };
      this.#rest = this.#rest.subarray(end);
      yield frame;
    }
  }
}

export interface Channels {
  readonly stdin: Channel;
  readonly stdout: Channel;
  readonly stderr: Channel;
  /** One Status object as JSON, from the kubelet, when the process has ended. */
  readonly status: Channel;
  /** Lines of JSON: `{"Width":80,"Height":24}`. */
  readonly resize: Channel;
}

/** Channels whose end or loss is the connection's. `socket` belongs to them from now on. */
export function openChannels(socket: Duplex, make: (carrier: Carrier) => Channels = plainChannels): Channels {
  const carrier: Carrier = {
    write(channel, bytes, done) {
      if (socket.destroyed) return done(lost());
      for (let at = 0; at < bytes.length; at += longestFrame) {
        const last = at + longestFrame >= bytes.length;
        socket.write(encodeFrame(channel.id, bytes.subarray(at, at + longestFrame)), last ? done : undefined);
      }
      if (bytes.length === 0) done();
    },
    end(channel, done) {
      if (socket.destroyed) return done();
      socket.write(encodeFrame(channel.id, Buffer.alloc(0)), () => done());
    },
  };
  const channels = make(carrier);
  const all = channelNames.map((name) => channels[name]);
  // Pipes report what matters; a channel that is cut has an error whether or not somebody listens.
  for (const channel of all) channel.on('error', () => undefined);
  const read = async () => {
    const reader = new FrameReader();
    for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
      for (const frame of reader.read(bytes as Buffer)) {
        const channel = all[frame.channel]!;
        if (frame.bytes.length === 0) channel.deliverEnd();
        else await channel.deliver(frame.bytes);
      }
    }
  };
  const over = read();
  over.catch(() => socket.destroy());
  over.then(
    () => {
      for (const channel of all) channel.deliverEnd();
    },
    () => {
      for (const channel of all) channel.destroy(lost());
    },
  );
  finished(socket).then(
    () => undefined,
    () => {
      for (const channel of all) channel.destroy(lost());
    },
  );
  return channels;
}

function plainChannels(carrier: Carrier): Channels {
  const channel = (name: ChannelName) => new Channel(channelIds[name], carrier);
  return {
    stdin: channel('stdin'),
    stdout: channel('stdout'),
    stderr: channel('stderr'),
    status: channel('status'),
    resize: channel('resize'),
  };
}

function lost(): MeshError {
  return new MeshError('CONNECT_FAILED', 'the connection was lost');
}
