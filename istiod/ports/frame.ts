/**
 * Messages of gRPC with room for their head before them. grpc-js would write each answer into bytes of its own, once for each client:
 * with 10,000 pods 3 MB that the kernel has to find and clear first.
 */

/** Flags and length. */
const head = 5;

/** The body of a message of that size; `frameOf` gives the whole. */
export function messageInFrame(size: number): Buffer {
  const whole = Buffer.allocUnsafeSlow(head + size);
  whole.writeUInt8(0, 0);
  whole.writeUInt32BE(size, 1);
  return whole.subarray(head);
}

/** undefined: it was not made by `messageInFrame`. */
export function frameOf(message: Buffer): Buffer | undefined {
  const { buffer, byteOffset, length } = message;
  if (byteOffset !== head || buffer.byteLength !== head + length) return undefined;
  const whole = Buffer.from(buffer);
  return whole[0] === 0 && whole.readUInt32BE(1) === length ? whole : undefined;
}
