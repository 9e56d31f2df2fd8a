/** Access logs in Envoy's formats, to a file or to standard output. */
import type { Fields } from '../../common/envoy/fields.ts';
import type { ExportEnvironment } from '../export/environment.ts';
import { compileExpression } from '../expression/expression.ts';
import { compileFormat, type Format, type FormatContext } from '../format/format.ts';

export interface AccessLog {
  accepts(context: FormatContext): boolean;
  write(context: FormatContext): void;
}

export function tellLogs(logs: readonly AccessLog[], context: FormatContext): void {
  for (const log of logs) if (log.accepts(context)) log.write(context);
}

type Line = (context: FormatContext) => string;

const defaultText =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

const loggers = 'envoy.extensions.access_loggers.';

/** envoy.config.accesslog.v3.AccessLog, repeated. */
export function readAccessLogs(owner: Fields, name: string, env: ExportEnvironment): readonly AccessLog[] {
  return owner.list(name).flatMap((log) => {
    log.harmless('name');
    const accepts = readFilter(log);
    const config = log.message('typed_config');
    const type = config?.type.slice(config.type.indexOf('/') + 1) ?? '';
    let path: string | undefined;
    if (type === `${loggers}file.v3.FileAccessLog`) path = config!.text('path');
    else if (type === `${loggers}stream.v3.StdoutAccessLog`) path = '/dev/stdout';
    else if (type === `${loggers}stream.v3.StderrAccessLog`) path = '/dev/stderr';
    if (!config) {
      log.mistake('typed_config', 'is missing');
      return [];
    }
    if (path === undefined) {
      log.mistake('typed_config', `access log ${type} is not supported`);
      return [];
    }
    const line = readLine(config);
    const to = path;
    return [{ accepts, write: (context) => env.write(to, line(context)) }];
  });
}

function readLine(config: Fields): Line {
  if (config.has('format')) return textLine(config, config.text('format'), 'format');
  const json = config.struct('json_format') ?? config.struct('typed_json_format');
  if (json) return jsonLine(config, json, 'json_format', true);
  const format = config.message('log_format');
  if (!format) return textLine(config, defaultText, 'log_format');
  const omitEmpty = format.flag('omit_empty_values');
  format.harmless('content_type');
  // They are sorted with and without it.
  format.message('json_format_options')?.harmless('sort_properties');
  const structured = format.struct('json_format');
  if (structured) return jsonLine(format, structured, 'json_format', omitEmpty);
  const source = format.message('text_format_source');
  const text = source ? source.text('inline_string') : format.text('text_format');
  return textLine(format, text === '' ? defaultText : text, 'text_format_source', omitEmpty ? '' : '-');
}

function textLine(owner: Fields, text: string, name: string, missing = '-'): Line {
  const format = tryFormat(owner, name, text);
  return (context) => format?.render(context, missing) ?? '';
}

type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };

type Render = (context: FormatContext) => unknown;

function jsonLine(owner: Fields, json: { readonly [key: string]: Value }, name: string, omitEmpty: boolean): Line {
  const render = jsonOf(owner, json, name, omitEmpty);
  return (context) => `${JSON.stringify(render(context))}\n`;
}

function jsonOf(owner: Fields, value: Value, name: string, omitEmpty: boolean): Render {
  if (typeof value === 'string') {
    const format = tryFormat(owner, name, value);
    // One operator alone keeps its type: numbers are numbers, what is missing is null.
    const single = /^%[^%]+%$/.test(value);
    const numeric =
      /^%(RESPONSE_CODE|DURATION|BYTES_RECEIVED|BYTES_SENT|[A-Z_]*_PORT|CONNECTION_ID|[A-Z_]*DURATION|GRPC_STATUS_NUMBER|UPSTREAM_REQUEST_ATTEMPT_COUNT)%$/.test(
        value,
      );
    return (context) => {
      const text = format?.render(context, single ? '\0' : '-');
      if (text === '\0') return omitEmpty ? undefined : null;
      return numeric && text !== undefined ? Number(text) : text;
    };
  }
  if (Array.isArray(value)) {
    const items = value.map((item: Value) => jsonOf(owner, item, name, omitEmpty));
    return (context) => items.map((item) => item(context) ?? null);
  }
  if (typeof value !== 'object' || value === null) return () => value;
  // Sorted, as Envoy writes them.
  const entries = Object.keys(value)
    .sort()
    .map((key) => [key, jsonOf(owner, (value as Readonly<Record<string, Value>>)[key]!, name, omitEmpty)] as const);
  return (context) => Object.fromEntries(entries.map(([key, item]) => [key, item(context)]));
}

function tryFormat(owner: Fields, name: string, text: string): Format | undefined {
  try {
    return compileFormat(text);
  } catch (e) {
    owner.mistake(name, (e as Error).message);
    return undefined;
  }
}

/** envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter; one that fails says no, as Envoy's. */
function readExpression(extension: Fields): AccessLog['accepts'] {
  extension.harmless('name');
  const config = extension.message('typed_config');
  if (!config?.type.endsWith('/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter')) {
    extension.mistake('typed_config', `filter ${config?.type ?? 'without a type'} is not supported`);
    return () => true;
  }
  try {
    const expression = compileExpression(config.text('expression'));
    return (context) => expression(context) === true;
  } catch (e) {
    config.mistake('expression', (e as Error).message);
    return () => true;
  }
}

function readFilter(log: Fields): AccessLog['accepts'] {
  const filter = log.message('filter');
  if (!filter) return () => true;
  const comparison = filter.message('status_code_filter')?.message('comparison');
  if (comparison) {
    const op = comparison.choice('op', 'EQ', {
      EQ: (a: number, b: number) => a === b,
      GE: (a: number, b: number) => a >= b,
      LE: (a: number, b: number) => a <= b,
    });
    const value = comparison.message('value');
    // There is no runtime layer that could change it.
    value?.harmless('runtime_key');
    const wanted = value?.number('default_value') ?? 0;
    return ({ response }) => op?.(response?.status ?? 0, wanted) ?? true;
  }
  const flags = filter.message('response_flag_filter');
  if (flags) {
    const wanted = new Set(flags.texts('flags'));
    return ({ facts }) => {
      const there = (facts.responseFlags ?? '').split(',').filter((flag) => flag !== '' && flag !== '-');
      return wanted.size === 0 ? there.length > 0 : there.some((flag) => wanted.has(flag));
    };
  }
  const expression = filter.message('extension_filter');
  if (expression) return readExpression(expression);
  if (filter.message('not_health_check_filter')) return () => true;
  filter.mistake(
    'filter_specifier',
    'is not supported: status_code_filter, response_flag_filter and CEL by extension_filter are',
  );
  return () => true;
}
