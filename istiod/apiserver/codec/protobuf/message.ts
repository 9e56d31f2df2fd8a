/**
 * Kubernetes' protobuf messages as tables: the number and type of each field, under its name in JSON. The numbers are those of
 * the published .proto files of k8s.io/api, which never change.
 */

export type FieldType =
  | 'string'
  | 'bool'
  /** int32 and int64; Kubernetes has none beyond 2^53. */
  | 'int'
  | 'double'
  /** Base64 in JSON. */
  | 'bytes'
  /** RFC 3339 in JSON: whole seconds, or microseconds. */
  | 'time'
  | 'microtime'
  /** Text in JSON; a message of one string. */
  | 'quantity'
  | 'int-or-string'
  /** A message of one field that holds JSON: RawExtension, FieldsV1, JSON. */
  | 'json'
  | Message
  | { readonly list: FieldType }
  /** Keys are strings. */
  | { readonly map: FieldType };

export interface Field {
  readonly name: string;
  readonly type: FieldType;
  /** A pointer in Go: what is on the wire is there, also when it is zero. Others are sent always, and zero means absent. */
  readonly pointer: boolean;
}

export interface Message {
  readonly kind: 'message';
  readonly fields: ReadonlyMap<number, Field>;
}

/** Names that end in `?` are pointers: `{ 'replicas?': [1, 'int'] }`. */
export function message(fields: Readonly<Record<string, readonly [number, FieldType]>>): Message {
  return {
    kind: 'message',
    fields: new Map(
      Object.entries(fields).map(([name, [number, type]]) => [
        number,
        { name: name.replace(/\?$/, ''), type, pointer: name.endsWith('?') },
      ]),
    ),
  };
}

export const list = (of: FieldType): FieldType => ({ list: of });
export const map = (of: FieldType): FieldType => ({ map: of });
