/** envoy.type.tracing.v3.CustomTag: tags that a configuration adds to spans, and to entries of access log services. */
import type { Fields } from '../../common/envoy/fields.ts';
import { compileFormat, type FormatContext } from '../format/format.ts';
import { headerOf } from '../request/view.ts';

export interface CustomTag {
  readonly name: string;
  /** Empty: the tag is left out. */
  value(context: FormatContext): string;
}

/** `environment`: variables of this process. */
export function readCustomTags(
  owner: Fields,
  name: string,
  environment: (name: string) => string | undefined,
): readonly CustomTag[] {
  return owner.readAll(name, (fields) => {
    const tag = fields.text('tag');
    if (tag === '') fields.mistake('tag', 'is empty');
    return { name: tag, value: readValue(fields, environment) };
  });
}

function readValue(fields: Fields, environment: (name: string) => string | undefined): CustomTag['value'] {
  // Spans carry texts.
  fields.choice('value_type', 'UNSPECIFIED', { UNSPECIFIED: true, STRING: true });
  const literal = fields.message('literal')?.text('value');
  if (literal !== undefined) return () => literal;
  const variable = fields.message('environment');
  if (variable) {
    const value = environment(variable.text('name')) ?? variable.text('default_value');
    variable.harmless('default_value');
    return () => value;
  }
  const header = fields.message('request_header');
  if (header) {
    const [name, absent] = [header.text('name').toLowerCase(), header.text('default_value')];
    return ({ request }) => headerOf(request, name) ?? absent;
  }
  const metadata = fields.message('metadata');
  if (metadata) return readMetadata(metadata);
  const text = fields.text('value');
  if (text === '') {
    fields.mistake('type', 'is neither literal, environment, request_header, metadata nor value');
    return () => '';
  }
  try {
    const format = compileFormat(text);
    return (context) => format.render(context, '');
  } catch (e) {
    fields.mistake('value', (e as Error).message);
    return () => '';
  }
}

function readMetadata(fields: Fields): CustomTag['value'] {
  const absent = fields.text('default_value');
  const key = fields.message('metadata_key');
  const namespace = key?.text('key') ?? '';
  const path = key?.readAll('path', (segment) => segment.text('key')) ?? [];
  const kind = fields.message('kind');
  const source = kind?.which('request', 'route', 'cluster', 'host') ?? 'request';
  kind?.message(source);
  const rootOf = ({ request, facts }: FormatContext): unknown => {
    switch (source) {
      case 'request':
        return request.metadata.get(namespace);
      case 'route':
        return facts.routeMetadata?.[namespace];
      case 'cluster':
        return facts.clusterMetadata?.[namespace];
      case 'host':
        return facts.hostMetadata?.[namespace];
    }
  };
  return (context) => {
    let value = rootOf(context);
    for (const name of path) {
      const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
      value = isThere ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
    }
    if (value === undefined || value === null) return absent;
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  };
}
