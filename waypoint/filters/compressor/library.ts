/** Compressors by their configuration: gzip, Brotli and zstd, as node:zlib has them, with Envoy's defaults. */
import type { Transform } from 'node:stream';
import { constants, createBrotliCompress, createGzip, createZstdCompress } from 'node:zlib';
import type { Fields } from '../../../common/envoy/fields.ts';

export interface Library {
  /** Of `content-encoding`. */
  readonly encoding: 'gzip' | 'br' | 'zstd';
  /** In statistics, with the name that the configuration gives. */
  readonly statName: string;
  /** What is written comes out at once: a stream's reader waits for no more of it. */
  make(): Transform;
}

/** Of an envoy.config.core.v3.TypedExtensionConfig. */
export function readLibrary(fields: Fields): Library {
  const name = fields.text('name');
  const config = fields.message('typed_config');
  const type = config?.type.slice(config.type.indexOf('/') + 1);
  if (config) {
    switch (type) {
      case 'envoy.extensions.compression.gzip.compressor.v3.Gzip':
        return { encoding: 'gzip', statName: `${name}.gzip`, make: readGzip(config) };
      case 'envoy.extensions.compression.brotli.compressor.v3.Brotli':
        return { encoding: 'br', statName: `${name}.brotli`, make: readBrotli(config) };
      case 'envoy.extensions.compression.zstd.compressor.v3.Zstd':
        return { encoding: 'zstd', statName: `${name}.zstd`, make: readZstd(config) };
    }
  }
  throw fields.refusal('typed_config', `compressor ${name} of type ${type ?? 'none'} is not supported`);
}

function readGzip(fields: Fields): () => Transform {
  const options = {
    flush: constants.Z_SYNC_FLUSH,
    memLevel: fields.wrapped('memory_level', 1, 9) ?? 5,
    level: fields.choice('compression_level', 'DEFAULT_COMPRESSION', gzipLevels) ?? constants.Z_DEFAULT_COMPRESSION,
    strategy: fields.choice('compression_strategy', 'DEFAULT_STRATEGY', strategies) ?? constants.Z_DEFAULT_STRATEGY,
    windowBits: fields.wrapped('window_bits', 9, 15) ?? 12,
    chunkSize: fields.wrapped('chunk_size', 4_096, 65_536) ?? 4_096,
  };
  return () => createGzip(options);
}

const gzipLevels = {
  DEFAULT_COMPRESSION: constants.Z_DEFAULT_COMPRESSION,
  BEST_SPEED: 1,
  COMPRESSION_LEVEL_1: 1,
  COMPRESSION_LEVEL_2: 2,
  COMPRESSION_LEVEL_3: 3,
  COMPRESSION_LEVEL_4: 4,
  COMPRESSION_LEVEL_5: 5,
  COMPRESSION_LEVEL_6: 6,
  COMPRESSION_LEVEL_7: 7,
  COMPRESSION_LEVEL_8: 8,
  COMPRESSION_LEVEL_9: 9,
  BEST_COMPRESSION: 9,
};

const strategies = {
  DEFAULT_STRATEGY: constants.Z_DEFAULT_STRATEGY,
  FILTERED: constants.Z_FILTERED,
  HUFFMAN_ONLY: constants.Z_HUFFMAN_ONLY,
  RLE: constants.Z_RLE,
  FIXED: constants.Z_FIXED,
};

function readBrotli(fields: Fields): () => Transform {
  const modes = {
    DEFAULT: constants.BROTLI_MODE_GENERIC,
    GENERIC: constants.BROTLI_MODE_GENERIC,
    TEXT: constants.BROTLI_MODE_TEXT,
    FONT: constants.BROTLI_MODE_FONT,
  };
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: fields.wrapped('quality', 0, 11) ?? 3,
    [constants.BROTLI_PARAM_MODE]: fields.choice('encoder_mode', 'DEFAULT', modes) ?? constants.BROTLI_MODE_GENERIC,
    [constants.BROTLI_PARAM_LGWIN]: fields.wrapped('window_bits', 10, 24) ?? 18,
    [constants.BROTLI_PARAM_LGBLOCK]: fields.wrapped('input_block_bits', 16, 24) ?? 24,
    [constants.BROTLI_PARAM_DISABLE_LITERAL_CONTEXT_MODELING]: fields.flag('disable_literal_context_modeling'),
  };
  const chunkSize = fields.wrapped('chunk_size', 4_096, 65_536) ?? 4_096;
  return () => createBrotliCompress({ flush: constants.BROTLI_OPERATION_FLUSH, params, chunkSize });
}

function readZstd(fields: Fields): () => Transform {
  const strategy = fields.choice('strategy', 'DEFAULT', zstdStrategies) ?? 0;
  const params = {
    [constants.ZSTD_c_compressionLevel]: fields.wrapped('compression_level', 0, 22) ?? constants.ZSTD_CLEVEL_DEFAULT,
    [constants.ZSTD_c_checksumFlag]: fields.flag('enable_checksum'),
    ...(strategy > 0 && { [constants.ZSTD_c_strategy]: strategy }),
  };
  const chunkSize = fields.wrapped('chunk_size', 4_096, 65_536) ?? 4_096;
  return () => createZstdCompress({ flush: constants.ZSTD_e_flush, params, chunkSize });
}

const zstdStrategies = {
  DEFAULT: 0,
  FAST: constants.ZSTD_fast,
  DFAST: constants.ZSTD_dfast,
  GREEDY: constants.ZSTD_greedy,
  LAZY: constants.ZSTD_lazy,
  LAZY2: constants.ZSTD_lazy2,
  BTLAZY2: constants.ZSTD_btlazy2,
  BTOPT: constants.ZSTD_btopt,
  BTULTRA: constants.ZSTD_btultra,
  BTULTRA2: constants.ZSTD_btultra2,
};
