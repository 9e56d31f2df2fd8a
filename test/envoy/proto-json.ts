/** Envoy's resources as the codec has them, in protobuf's JSON form, which bootstraps are written in. */
import protobuf from 'protobufjs';
import { structToJson } from '../../common/envoy/fields.ts';
import { envoyMessage } from '../../common/envoy/protos.ts';

type Plain = Readonly<Record<string, unknown>>;

/** `name` is the message's full name: `envoy.config.cluster.v3.Cluster`. */
export function protoJson(name: string, message: object): Plain {
  const type = envoyMessage(name);
  if (!type) throw new Error(`${name} is no message of Envoy's API`);
  return fieldsOf(type, message as Plain);
}

function fieldsOf(type: protobuf.Type, message: Plain): Plain {
  const entries = Object.entries(message).map(([name, value]): readonly [string, unknown] => {
    const field = type.fields[name]?.resolve();
    const inner = field?.resolvedType;
    if (!(inner instanceof protobuf.Type) || value === undefined) return [name, value];
    if (field!.repeated) return [name, (value as readonly Plain[]).map((one) => jsonOf(inner, one))];
    if (!field!.map) return [name, jsonOf(inner, value as Plain)];
    const values = Object.entries(value as Plain).map(([key, one]) => [key, jsonOf(inner, one as Plain)]);
    return [name, Object.fromEntries(values)];
  });
  return Object.fromEntries(entries);
}

function jsonOf(type: protobuf.Type, value: Plain): unknown {
  switch (type.fullName) {
    case '.google.protobuf.Any': {
      const url = String(value['@type']);
      return { ...protoJson(url.slice(url.indexOf('/') + 1), value), '@type': url };
    }
    case '.google.protobuf.Duration': {
      const ms = Number(value['seconds'] ?? 0) * 1_000 + Number(value['nanos'] ?? 0) / 1_000_000;
      return `${ms / 1_000}s`;
    }
    case '.google.protobuf.Struct':
      return structToJson(value);
    default:
      return /^\.google\.protobuf\.\w+Value$/.test(type.fullName) ? (value['value'] ?? 0) : fieldsOf(type, value);
  }
}
