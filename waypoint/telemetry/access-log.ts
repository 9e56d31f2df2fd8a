/** Access logs in Envoy's formats: lines to a file or to standard output, records and entries to a collector. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import type { FormatContext } from '../format/format.ts';
import { readLogFilter } from './log-filters.ts';
import { readLine } from './log-lines.ts';
import { readOtlpLog } from './log-records.ts';
import { readHttpService, readTcpService } from './log-service.ts';
import { forgetText } from './log-texts.ts';

export interface AccessLog {
  /** Never throws: a request must end though nothing can be told of it. Such are counted (`access_logs.failed`). */
  tell(context: FormatContext): void;
}

type Write = (context: FormatContext) => void;

export function tellLogs(logs: readonly AccessLog[], context: FormatContext): void {
  for (const log of logs) log.tell(context);
  forgetText();
}

/** envoy.config.accesslog.v3.AccessLog, repeated. */
export function readAccessLogs(owner: Fields, name: string, env: ExportEnvironment): readonly AccessLog[] {
  return owner.list(name).flatMap((log) => {
    log.harmless('name');
    const accepts = readLogFilter(log);
    const config = log.message('typed_config');
    if (!config) {
      log.mistake('typed_config', 'is missing');
      return [];
    }
    const write = readLogger(config, env);
    if (write) return [guarded(accepts, write, env)];
    log.mistake('typed_config', `access log ${config.type.slice(config.type.indexOf('/') + 1)} is not supported`);
    return [];
  });
}

function guarded(accepts: (context: FormatContext) => boolean, write: Write, { stats }: ExportEnvironment): AccessLog {
  return {
    tell: (context) => {
      try {
        if (accepts(context)) write(context);
      } catch {
        stats.counter('access_logs.failed').value++;
      }
    },
  };
}

const prefix = 'type.googleapis.com/envoy.extensions.access_loggers.';

/** undefined: of a type that is not known here. */
function readLogger(config: Fields, env: ExportEnvironment): Write | undefined {
  switch (config.type) {
    case `${prefix}file.v3.FileAccessLog`:
      return toFile(config, config.text('path'), env);
    case `${prefix}stream.v3.StdoutAccessLog`:
      return toFile(config, '/dev/stdout', env);
    case `${prefix}stream.v3.StderrAccessLog`:
      return toFile(config, '/dev/stderr', env);
    case `${prefix}open_telemetry.v3.OpenTelemetryAccessLogConfig`:
      return readOtlpLog(config, env);
    case `${prefix}grpc.v3.HttpGrpcAccessLogConfig`:
      return readHttpService(config, env);
    case `${prefix}grpc.v3.TcpGrpcAccessLogConfig`:
      return readTcpService(config, env);
    default:
      return undefined;
  }
}

function toFile(config: Fields, path: string, env: ExportEnvironment): Write {
  const line = readLine(config);
  return (context) => env.write(path, line(context));
}
