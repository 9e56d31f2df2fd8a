/** The status of the answer to raw frames of HTTP/2. */
import { connect } from 'node:net';
import {
  type Frame,
  frameType,
  preface,
  rawPlainClient,
  settingsAck,
  settingsFrame,
} from '../../../../common/testing/h2-frames.ts';
import { until } from '../../../../common/testing/until.ts';

/** `reset`: the stream or the connection was reset instead of answered. `frames` are of stream 1. */
export async function askHttp2(port: number, frames: Buffer): Promise<number | 'reset'> {
  const peer = await rawPlainClient(connect({ port, host: '127.0.0.1' }));
  peer.send(preface, settingsFrame(), settingsAck);
  // Extended CONNECT must have been offered before it is used.
  await until('SETTINGS', () => peer.closed || peer.frames.some((f) => f.type === frameType.settings));
  peer.send(frames);
  const ofStream = (f: Frame) => f.stream === 1 && (f.type === frameType.headers || f.type === frameType.rstStream);
  const first = await until(
    'an answer',
    () => peer.closed || peer.frames.find((f) => ofStream(f) && !isInformational(f)),
  );
  peer.socket.destroy();
  if (first === true || first.type === frameType.rstStream) return 'reset';
  return statusOf(first.payload);
}

function isInformational(f: Frame): boolean {
  return f.type === frameType.headers && statusOf(f.payload) < 200;
}

const indexed: Readonly<Record<number, number>> = { 8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500 };

/** `:status` is the first field (RFC 7541 6); others than those of the static table are literals of three digits. */
function statusOf(block: Buffer): number {
  let at = 0;
  // Sizes of the dynamic table.
  while ((block[at]! & 0xe0) === 0x20) {
    if ((block[at++]! & 0x1f) === 0x1f) while (block[at++]! & 0x80);
  }
  const first = block[at]!;
  if (first & 0x80) return indexed[first & 0x7f] ?? 0;
  const length = block[at + 1]!;
  const value = block.subarray(at + 2, at + 2 + (length & 0x7f));
  return Number(length & 0x80 ? digits(value) : value.toString('latin1'));
}

/** Huffman's code of digits (RFC 7541, appendix B). */
function digits(bytes: Buffer): string {
  const bits = [...bytes].map((b) => b.toString(2).padStart(8, '0')).join('');
  let out = '';
  for (let at = 0; out.length < 3; ) {
    const short = Number.parseInt(bits.slice(at, at + 5), 2);
    if (short < 3) {
      out += short;
      at += 5;
    } else {
      out += Number.parseInt(bits.slice(at, at + 6), 2) - 0x19 + 3;
      at += 6;
    }
  }
  return out;
}
