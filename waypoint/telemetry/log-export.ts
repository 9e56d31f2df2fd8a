/** What access logs that go to a collector have in common: envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig. */
import { type Millis, millis } from '../../common/core/brand.ts';
import type { Fields } from '../../common/envoy/fields.ts';
import { Batch } from '../export/batch.ts';
import { type Delivery, type Destination, deliver, readGrpcDestination } from '../export/destination.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import { type CustomTag, readCustomTags } from '../tracing/custom-tags.ts';

export interface CommonLogConfig {
  readonly logName: string;
  readonly to: Destination;
  /** Until a batch is sent that is not full. Default 1 s. */
  readonly interval: Millis;
  /** Bytes that make a batch full; 0: each is sent by itself. Default 256 KiB: Envoy's 16 KiB are thousands of calls a second here. */
  readonly bytes: number;
  readonly tags: readonly CustomTag[];
  /** Names of what filters left on the connection. */
  readonly states: readonly string[];
}

export function readCommon(owner: Fields, env: ExportEnvironment): CommonLogConfig {
  return owner.required('common_config', (fields) => {
    const logName = fields.text('log_name');
    if (logName === '') fields.mistake('log_name', 'is empty');
    fields.choice('transport_api_version', 'AUTO', { V3: true });
    return {
      logName,
      to: fields.required('grpc_service', readGrpcDestination),
      interval: fields.duration('buffer_flush_interval', 1) ?? millis(1_000),
      bytes: fields.wrapped('buffer_size_bytes') ?? 262_144,
      tags: readCustomTags(fields, 'custom_tags', env.variable),
      states: fields.texts('filter_state_objects_to_log'),
    };
  });
}

/** What may wait for a collector that is slow or away; what comes beyond is dropped, and counted. */
const most = { mostItems: 65_536, mostBytes: 16 * 1_048_576 } as const;
const itemsOfBatch = 4_096;

export interface LogWay {
  /** Tells it from other ways to the same destination. */
  readonly key: string;
  /** Of the counters `logs_written` and `logs_dropped`, as Envoy's. */
  readonly statPrefix: string;
  readonly delivery: (items: Buffer) => Delivery;
}

/** Loggers that are configured alike share one. */
export function logBatch(
  { to, interval, bytes }: CommonLogConfig,
  { key, statPrefix, delivery }: LogWay,
  env: ExportEnvironment,
): Batch {
  return env.exporters.get(JSON.stringify([key, to, interval, bytes]), () => {
    const { caller, clock, stats } = env;
    return new Batch({
      clock,
      ...most,
      items: itemsOfBatch,
      bytes,
      interval,
      sent: stats.counter(`${statPrefix}logs_written`),
      dropped: stats.counter(`${statPrefix}logs_dropped`),
      send: (items, done) => deliver(caller, to, delivery(items), done),
    });
  });
}
