/** Access logs as records of OTLP: envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import { type Attribute, type AttributeValue, encodeExport, encodeLogRecord, logsService } from '../export/otlp.ts';
import type { FormatContext } from '../format/format.ts';
import { logBatch, readCommon } from './log-export.ts';
import { tryFormat } from './log-lines.ts';
import { textOf } from './log-texts.ts';

type Render = (context: FormatContext) => AttributeValue;

export function readOtlpLog(config: Fields, env: ExportEnvironment): (context: FormatContext) => void {
  const common = readCommon(config, env);
  // Operators need no extension here.
  config.harmless('formatters');
  const { node } = env;
  const own: readonly Attribute[] = config.flag('disable_builtin_labels')
    ? []
    : [
        { name: 'log_name', value: common.logName },
        { name: 'zone_name', value: node.zone },
        { name: 'cluster_name', value: node.cluster },
        { name: 'node_name', value: node.id },
      ];
  const more = config.read('resource_attributes', (f) => pairs(f, fixed)) ?? [];
  // Later ones count.
  const resource = [...new Map([...own, ...more].map((a) => [a.name, a])).values()];
  const body = config.read('body', (f) => (isSet(f) ? bodyOf(f) : undefined));
  const attributes = config.read('attributes', (f) => pairs(f, rendered)) ?? [];
  const prefix = config.text('stat_prefix');
  const scope = { resource, scope: undefined };
  const batch = logBatch(
    common,
    {
      key: JSON.stringify(['otlp logs', resource, prefix]),
      statPrefix: `access_logs.open_telemetry_access_log.${prefix === '' ? '' : `${prefix}.`}`,
      delivery: (items) => ({
        message: encodeExport(scope, items),
        method: logsService,
        contentType: 'application/x-protobuf',
      }),
    },
    env,
  );
  const { states, tags } = common;
  return (context) => {
    const { facts, request } = context;
    const told: Attribute[] = attributes.map(({ name, value }) => ({ name, value: value(context) }));
    for (const name of states) {
      const value = request.connection.filterState.get(name);
      if (value !== undefined) told.push({ name, value: JSON.stringify(value) });
    }
    for (const tag of tags) {
      const value = tag.value(context);
      if (value !== '') told.push({ name: tag.name, value });
    }
    batch.add(
      encodeLogRecord({
        time: facts.startTime,
        body: body?.(context),
        attributes: told,
        // Zipkin's may be half as long.
        traceId: facts.trace?.traceId ? facts.trace.traceId.padStart(32, '0') : '',
        spanId: facts.trace?.spanId ?? '',
      }),
    );
  };
}

/** A KeyValueList. */
function pairs<T>(list: Fields, read: (value: Fields) => T): readonly { readonly name: string; readonly value: T }[] {
  return list.readAll('values', (pair) => ({ name: pair.text('key'), value: pair.required('value', read) }));
}

const kinds = [
  ...(['string_value', 'bool_value', 'int_value', 'double_value'] as const),
  ...(['array_value', 'kvlist_value', 'bytes_value'] as const),
] as const;

function isSet(value: Fields): boolean {
  return value.which(...kinds) !== undefined;
}

/** An AnyValue as it stands. */
function fixed(value: Fields): AttributeValue {
  const kind = value.which(...kinds);
  switch (kind) {
    case 'string_value':
      return value.text(kind);
    case 'bool_value':
      return value.flag(kind);
    case 'int_value':
    case 'double_value':
      return value.number(kind, -Number.MAX_SAFE_INTEGER);
    case 'array_value':
      return value.required(kind, (list) => list.readAll('values', fixed));
    case 'kvlist_value':
      return value.required(kind, (list) => Object.fromEntries(pairs(list, fixed).map((p) => [p.name, p.value])));
    case 'bytes_value':
      throw value.unsupported(kind);
    case undefined:
      throw value.refusal('value', 'is missing');
  }
}

/** As `rendered`; often a line that goes to a file, too. */
function bodyOf(value: Fields): Render {
  const kind = 'string_value';
  const format = value.which(...kinds) === kind ? tryFormat(value, kind, value.text(kind)) : undefined;
  return format ? textOf(format, '-') : rendered(value);
}

/** An AnyValue whose texts are formats. */
function rendered(value: Fields): Render {
  const kind = value.which(...kinds);
  switch (kind) {
    case 'string_value': {
      const format = tryFormat(value, kind, value.text(kind));
      return (context) => format?.render(context, '-') ?? '';
    }
    case 'array_value': {
      const items = value.required(kind, (list) => list.readAll('values', rendered));
      return (context) => items.map((item) => item(context));
    }
    case 'kvlist_value': {
      const entries = value.required(kind, (list) => pairs(list, rendered));
      return (context) => Object.fromEntries(entries.map((entry) => [entry.name, entry.value(context)]));
    }
    case undefined:
      throw value.refusal('value', 'is missing');
    default:
      throw value.refusal(kind, 'is neither a text nor a list nor pairs of such');
  }
}
