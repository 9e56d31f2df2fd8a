/**
 * Access logs to Envoy's access log service (envoy.service.accesslog.v3): HttpGrpcAccessLogConfig and TcpGrpcAccessLogConfig. Each batch is
 * a stream of one message, with who we are, so that the service's answer says whether it arrived; Envoy's streams end with the connection.
 */
import type { Fields } from '../../common/envoy/fields.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import { ProtoWriter } from '../export/protobuf.ts';
import type { FormatContext } from '../format/format.ts';
import type { ProxyNode } from '../tracing/standard-tags.ts';
import { encodeHttpEntry, encodeTcpEntry } from './log-entries.ts';
import { type CommonLogConfig, logBatch, readCommon } from './log-export.ts';

const method = '/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs';
/** Numbers of the fields of StreamAccessLogsMessage. */
const entriesField = { http: 2, tcp: 3 } as const;

export function readHttpService(config: Fields, env: ExportEnvironment): (context: FormatContext) => void {
  const common = readCommon(config, env);
  const names = (field: string) => config.texts(field).map((name) => name.toLowerCase());
  const options = {
    ...common,
    requestHeaders: names('additional_request_headers_to_log'),
    responseHeaders: names('additional_response_headers_to_log'),
    responseTrailers: names('additional_response_trailers_to_log'),
  };
  const batch = batchOf(common, 'http', env);
  return (context) => batch.add(encodeHttpEntry(context, options));
}

export function readTcpService(config: Fields, env: ExportEnvironment): (context: FormatContext) => void {
  const common = readCommon(config, env);
  const batch = batchOf(common, 'tcp', env);
  return (context) => batch.add(encodeTcpEntry(context, common));
}

function batchOf(common: CommonLogConfig, kind: keyof typeof entriesField, env: ExportEnvironment) {
  const { logName } = common;
  const { node } = env;
  return logBatch(
    common,
    {
      key: JSON.stringify([`als ${kind}`, logName]),
      statPrefix: 'access_logs.grpc_access_log.',
      delivery: (items) => ({
        message: encodeStream(node, logName, kind, items),
        method,
        contentType: 'application/x-protobuf',
        isSilent: true,
      }),
    },
    env,
  );
}

const writer = new ProtoWriter();

function encodeStream(
  { id, cluster, zone }: ProxyNode,
  logName: string,
  kind: keyof typeof entriesField,
  items: Buffer,
): Buffer {
  writer.message(1, () => {
    writer.message(1, () => {
      writer.text(1, id);
      writer.text(2, cluster);
      if (zone !== '') writer.message(4, () => writer.text(2, zone));
      writer.text(6, 'aquifer');
    });
    writer.text(2, logName);
  });
  writer.bytes(entriesField[kind], items);
  return writer.finish();
}
