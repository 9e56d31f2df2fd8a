/**
 * A client's end of portforward.k8s.io: one connection to a port of a pod, over a SPDY connection of its own. `error` brings one message
 * where the port cannot be reached, `data` is the connection.
 */
import type { Duplex } from 'node:stream';
import { MeshError } from '../../core/errors.ts';
import { type Carrier, Channel } from '../kubelet/channel.ts';
import {
  encodeData,
  encodeGoaway,
  encodePing,
  encodeReset,
  encodeSynStream,
  FrameReader,
  resetStatus,
} from './frames.ts';
import { HeaderPacker } from './headers.ts';

export const forwardProtocol = 'portforward.k8s.io';

const ids = { error: 1, data: 3 } as const;

/** `socket` belongs to it from now on, and ends with it. It fails with MeshError CONNECT_FAILED in the other end's words. */
export function openForward(socket: Duplex, port: number): Duplex {
  const carrier: Carrier = {
    write(channel, bytes, done) {
      if (socket.destroyed) done(lost());
      else socket.write(encodeData(channel.id, bytes, false), done);
    },
    end(channel, done) {
      if (socket.destroyed) done();
      else socket.write(encodeData(channel.id, Buffer.alloc(0), true), () => done());
    },
    closed(channel) {
      if (socket.destroyed) return;
      if (channel.errored !== null) socket.write(encodeReset(channel.id, resetStatus.cancel));
      socket.end(encodeGoaway(0));
    },
  };
  const data = new Channel(ids.data, carrier);
  const packer = new HeaderPacker();
  for (const streamtype of ['error', 'data'] as const) {
    const headers = packer.pack({ streamtype, port: String(port), requestid: '0' });
    socket.write(encodeSynStream(ids[streamtype], headers));
  }
  // It will never say anything.
  socket.write(encodeData(ids.error, Buffer.alloc(0), true));
  const message: Buffer[] = [];
  const failure = () =>
    message.length === 0 ? lost() : new MeshError('CONNECT_FAILED', Buffer.concat(message).toString('utf8'));
  const read = async () => {
    const reader = new FrameReader();
    for await (const bytes of socket.iterator({ destroyOnReturn: false })) {
      for (const frame of reader.read(bytes as Buffer)) {
        if (frame.kind === 'ping') socket.write(encodePing(frame.id));
        else if (frame.kind === 'rst-stream' && frame.stream === ids.data) data.destroy(failure());
        else if (frame.kind === 'data' && frame.stream === ids.error) {
          if (frame.bytes.length > 0) message.push(frame.bytes);
          if (frame.final && message.length > 0) data.destroy(failure());
        } else if (frame.kind === 'data' && frame.stream === ids.data) {
          await data.deliver(frame.bytes);
          if (frame.final) data.deliverEnd();
        }
      }
    }
  };
  read().then(
    () => data.readableEnded || data.destroy(failure()),
    () => data.destroy(failure()),
  );
  return data;
}

function lost(): MeshError {
  return new MeshError('CONNECT_FAILED', 'the connection to the pod was lost');
}
