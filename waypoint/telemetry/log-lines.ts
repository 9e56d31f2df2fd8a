/** What a line of an access log is made of: Envoy's formats, text and JSON. */
import type { Fields } from '../../common/envoy/fields.ts';
import { compileFormat, type Format, type FormatContext } from '../format/format.ts';
import { type Line, textOf } from './log-texts.ts';

const defaultText =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/** Of a FileAccessLog, StdoutAccessLog or StderrAccessLog. */
export function readLine(config: Fields): Line {
  if (config.has('format')) return textLine(config, config.text('format'), 'format');
  const json = config.struct('json_format') ?? config.struct('typed_json_format');
  if (json) return jsonLine(config, json, 'json_format', true);
  const format = config.message('log_format');
  if (!format) return textLine(config, defaultText, 'log_format');
  const omitEmpty = format.flag('omit_empty_values');
  format.harmless('content_type');
  // Operators need no extension here.
  format.harmless('formatters');
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
  return format ? textOf(format, missing) : () => '';
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
    const alone = format?.alone;
    // One operator alone keeps its type: numbers are numbers, what is missing is null.
    if (alone) return (context) => alone(context) ?? (omitEmpty ? undefined : null);
    return (context) => format?.render(context, '-');
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

export function tryFormat(owner: Fields, name: string, text: string): Format | undefined {
  try {
    return compileFormat(text);
  } catch (e) {
    owner.mistake(name, (e as Error).message);
    return undefined;
  }
}
