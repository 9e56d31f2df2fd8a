/** Replies as bytes. Lists of JSON come in pieces, so that none of them is held whole. */
import { createRequire } from 'node:module';
import type { ListMeta, WatchItem } from '../http/api-request.ts';
import { type ApiObject, fromJson, type Json, toJson } from '../objects.ts';
import { apiVersionOf, type Resource } from '../resources/resource.ts';
import { parse } from '../rest/rest.ts';
import type { Status } from '../status.ts';
import type { Stored } from '../storage/types.ts';
import { columnDefinitions, type IncludeObject, partial, rowOf } from '../tables/render.ts';
import type { Representation } from './negotiate.ts';
import { encodeProtobuf, encodeProtobufEvent, encodeProtobufList } from './protobuf/encode.ts';
import { protobufType } from './protobuf/wire.ts';

export interface TableOptions {
  readonly include: IncludeObject;
  /** Ms since the epoch. */
  readonly now: number;
}

/** Loaded only for who asks for it: it is some 40 ms of the start. */
function yaml(): typeof import('yaml') {
  return createRequire(import.meta.url)('yaml');
}

export function contentTypeOf({ format }: Representation): string {
  return format === 'protobuf' ? protobufType : `application/${format}`;
}

/** As protobuf only objects of kinds that have it (`hasProtobuf`). */
export function encodeValue({ format, pretty }: Representation, value: unknown): string | Buffer {
  if (format === 'protobuf') return encodeProtobuf(value as Record<string, unknown>);
  if (format === 'yaml') return yaml().stringify(value, { aliasDuplicateObjects: false });
  return pretty ? `${JSON.stringify(value, undefined, 2)}\n` : JSON.stringify(value);
}

export function encodeObject(
  form: Representation,
  resource: Resource,
  json: Json,
  table: TableOptions,
): string | Buffer {
  const bytes = inVersion(json, resource);
  if (form.as === 'object' && form.format === 'json' && !form.pretty) return bytes;
  const object = fromJson(bytes);
  switch (form.as) {
    case 'object':
      return encodeValue(form, object);
    case 'metadata':
      return encodeValue(form, partial(object));
    case 'table':
      return encodeValue(
        form,
        tableOf(resource, [object], { resourceVersion: object.metadata.resourceVersion ?? '' }, table, true),
      );
  }
}

export function* encodeList(
  form: Representation,
  resource: Resource,
  items: readonly Stored[],
  metadata: ListMeta,
  table: TableOptions,
): Generator<string | Buffer> {
  if (form.format === 'protobuf') {
    yield protobufList(form, resource, items, metadata);
    return;
  }
  if (form.format === 'yaml' || form.pretty) {
    yield encodeValue(
      form,
      JSON.parse(
        [...encodeList({ ...form, format: 'json', pretty: false }, resource, items, metadata, table)].join(''),
      ),
    );
    return;
  }
  const [head, each] = listForm(form, resource, metadata, table);
  yield head;
  for (let i = 0; i < items.length; i++) {
    if (i > 0) yield comma;
    yield each(items[i]!);
  }
  yield ']}';
}

/** One at a time. */
function* parsed(resource: Resource, items: readonly Stored[]): Generator<ApiObject> {
  for (const { json } of items) yield parse(json, resource);
}

function protobufList(
  { as }: Representation,
  resource: Resource,
  items: readonly Stored[],
  metadata: ListMeta,
): Buffer {
  const objects = parsed(resource, items);
  return as === 'metadata'
    ? encodeProtobufList('meta.k8s.io/v1', 'PartialObjectMetadataList', 'PartialObjectMetadata', metadata, objects)
    : encodeProtobufList(apiVersionOf(resource), resource.listKind, resource.kind, metadata, objects);
}

/** Everything up to the first item, and how an item is written. */
function listForm(
  form: Representation,
  resource: Resource,
  metadata: ListMeta,
  table: TableOptions,
): readonly [string, (item: Stored) => string | Buffer] {
  const header = (apiVersion: string, kind: string) => JSON.stringify({ kind, apiVersion, metadata }).slice(0, -1);
  switch (form.as) {
    case 'object':
      return [
        `${header(apiVersionOf(resource), resource.listKind)},"items":[`,
        (item) => inVersion(item.json, resource),
      ];
    case 'metadata':
      return [
        `${header('meta.k8s.io/v1', 'PartialObjectMetadataList')},"items":[`,
        (item) => JSON.stringify(partial(fromJson(item.json))),
      ];
    case 'table': {
      const columns = JSON.stringify(columnDefinitions(resource));
      return [
        `${header('meta.k8s.io/v1', 'Table')},"columnDefinitions":${columns},"rows":[`,
        (item) => JSON.stringify(rowOf(resource, parse(item.json, resource), table.now, table.include)),
      ];
    }
  }
}

function tableOf(
  resource: Resource,
  objects: readonly ApiObject[],
  metadata: ListMeta,
  table: TableOptions,
  head: boolean,
): object {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: head ? columnDefinitions(resource) : null,
    rows: objects.map((o) => rowOf(resource, o, table.now, table.include)),
  };
}

/** Encoded events, by type and form, for all watches that take whole objects. Those of the last changes are kept. */
const encoded = new Map<Stored, Map<string, Buffer>>();
let encodedBytes = 0;
/** All watches that keep up ask for the same few. */
const encodedLimit = 4 * 1024 * 1024;

function keepEncoded(object: Stored, id: string, bytes: Buffer): void {
  let forms = encoded.get(object);
  if (forms === undefined) {
    forms = new Map();
    encoded.set(object, forms);
  }
  forms.set(id, bytes);
  encodedBytes += bytes.length;
  for (const [oldest, old] of encoded) {
    if (encodedBytes <= encodedLimit || oldest === object) break;
    for (const { length } of old.values()) encodedBytes -= length;
    encoded.delete(oldest);
  }
}

const eventHeads = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
};
const eventEnd = Buffer.from('}\n');
const comma = Buffer.from(',');

/** `first`: of a watch of tables, which tells its columns once. */
export function encodeEvent(
  form: Representation,
  resource: Resource,
  item: WatchItem,
  table: TableOptions,
  first: boolean,
): Buffer | string {
  if (item.type === 'BOOKMARK') return eventOf(form, 'BOOKMARK', bookmark(form, resource, item));
  const { type, object } = item;
  if (form.as === 'object') {
    const id = `${type} ${resource.version} ${form.format}`;
    let bytes = encoded.get(object)?.get(id);
    if (bytes === undefined) {
      const json = inVersion(object.json, resource);
      bytes =
        form.format === 'protobuf'
          ? encodeProtobufEvent(type, encodeProtobuf(fromJson(json)))
          : Buffer.concat([eventHeads[type], json, eventEnd]);
      keepEncoded(object, id, bytes);
    }
    return bytes;
  }
  const parsed = parse(object.json, resource);
  const shown =
    form.as === 'metadata'
      ? partial(parsed)
      : tableOf(resource, [parsed], { resourceVersion: String(object.revision) }, table, first);
  return eventOf(form, type, shown);
}

/** What ends a watch that cannot go on. */
export function encodeError(form: Representation, status: Status): Buffer | string {
  return eventOf(form, 'ERROR', status);
}

function eventOf({ format }: Representation, type: string, object: object): Buffer | string {
  if (format !== 'protobuf') return `${JSON.stringify({ type, object })}\n`;
  return encodeProtobufEvent(type, encodeProtobuf(object as Record<string, unknown>));
}

function bookmark(form: Representation, resource: Resource, item: WatchItem & { type: 'BOOKMARK' }): object {
  const annotations = item.initialEnd ? { annotations: { 'k8s.io/initial-events-end': 'true' } } : {};
  const metadata = { resourceVersion: item.revision, creationTimestamp: null, ...annotations };
  switch (form.as) {
    case 'object':
      return { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata };
    case 'metadata':
      return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
    case 'table':
      return {
        kind: 'Table',
        apiVersion: 'meta.k8s.io/v1',
        metadata: { resourceVersion: item.revision },
        columnDefinitions: null,
        rows: [{ cells: [], object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata } }],
      };
  }
}

/** How the JSON of a resource's objects begins. */
const heads = new WeakMap<Resource, Buffer>();

/** The same object under the version that was asked for; stored JSON begins with its apiVersion. */
function inVersion(json: Json, resource: Resource): Json {
  let head = heads.get(resource);
  if (head === undefined) {
    head = Buffer.from(`{"apiVersion":"${apiVersionOf(resource)}"`);
    heads.set(resource, head);
  }
  if (head.compare(json, 0, head.length) === 0) return json;
  if (resource.conversion !== undefined) return toJson(parse(json, resource));
  return Buffer.concat([head, json.subarray(json.indexOf('"', '{"apiVersion":"'.length) + 1)]);
}
