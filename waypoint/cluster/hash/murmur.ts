/** MurmurHash2 for 64 bits, in the variant of libstdc++, which is Envoy's. */
const factor = 0xc6a4a7935bd1e995n;
const mask = 0xffff_ffff_ffff_ffffn;
/** Envoy's for rings. */
const ringSeed = 0xc70f6907n;

/** Unsigned. */
export function murmur2(data: Buffer, seed = ringSeed): bigint {
  let hash = seed ^ ((BigInt(data.length) * factor) & mask);
  let at = 0;
  for (; at + 8 <= data.length; at += 8) {
    const part = (mix((data.readBigUInt64LE(at) * factor) & mask) * factor) & mask;
    hash = ((hash ^ part) * factor) & mask;
  }
  if (at < data.length) {
    let rest = 0n;
    for (let i = data.length - 1; i >= at; i--) rest = (rest << 8n) | BigInt(data[i]!);
    hash = ((hash ^ rest) * factor) & mask;
  }
  return mix((mix(hash) * factor) & mask);
}

function mix(value: bigint): bigint {
  return value ^ (value >> 47n);
}
