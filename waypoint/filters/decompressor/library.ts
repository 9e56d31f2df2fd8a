/** Decompressors by their configuration: gzip, Brotli and zstd, as node:zlib has them, with Envoy's defaults. */
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib';
import type { Fields } from '../../../common/envoy/fields.ts';

export interface Library {
  /** Of `content-encoding`. */
  readonly encoding: 'gzip' | 'br' | 'zstd';
  /** That the configuration gives. */
  readonly name: string;
  /** In statistics. */
  readonly statName: string;
  /** Bytes that may come out for one that went in. */
  readonly mostRatio: number;
  make(): Transform;
}

/** Of an envoy.config.core.v3.TypedExtensionConfig. */
export function readLibrary(fields: Fields): Library {
  const name = fields.text('name');
  const config = fields.message('typed_config');
  const type = config?.type.slice(config.type.indexOf('/') + 1);
  if (config) {
    switch (type) {
      case 'envoy.extensions.compression.gzip.decompressor.v3.Gzip':
        return { name, encoding: 'gzip', statName: `${name}.gzip`, ...readGzip(config) };
      case 'envoy.extensions.compression.brotli.decompressor.v3.Brotli':
        return { name, encoding: 'br', statName: `${name}.brotli`, ...readBrotli(config) };
      case 'envoy.extensions.compression.zstd.decompressor.v3.Zstd':
        return { name, encoding: 'zstd', statName: `${name}.zstd`, ...readZstd(config) };
    }
  }
  throw fields.refusal('typed_config', `decompressor ${name} of type ${type ?? 'none'} is not supported`);
}

/** Envoy's where nothing else is said. */
const defaultRatio = 100;

function readGzip(fields: Fields): Pick<Library, 'mostRatio' | 'make'> {
  const options = { windowBits: fields.wrapped('window_bits', 9, 15) ?? 15, chunkSize: chunkSize(fields) };
  const mostRatio = fields.wrapped('max_inflate_ratio', 1, 1_032) ?? defaultRatio;
  return { mostRatio, make: () => createGunzip(options) };
}

function readBrotli(fields: Fields): Pick<Library, 'mostRatio' | 'make'> {
  // How the library reuses its memory.
  fields.harmless('disable_ring_buffer_reallocation');
  const options = { chunkSize: chunkSize(fields) };
  return { mostRatio: defaultRatio, make: () => createBrotliDecompress(options) };
}

function readZstd(fields: Fields): Pick<Library, 'mostRatio' | 'make'> {
  const options = { chunkSize: chunkSize(fields) };
  return { mostRatio: defaultRatio, make: () => createZstdDecompress(options) };
}

/** Bytes. */
function chunkSize(fields: Fields): number {
  return fields.wrapped('chunk_size', 4_096, 65_536) ?? 4_096;
}
