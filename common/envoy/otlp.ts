/** Messages of OpenTelemetry that Envoy's API holds: names and numbers of opentelemetry-proto 1. */

/** As Envoy's files import it. */
export const otlpFile = 'opentelemetry/proto/common/v1/common.proto';

/** In protobuf's language, for protobufjs. */
export const otlpProto = `
syntax = "proto3";
package opentelemetry.proto.common.v1;

message AnyValue {
  oneof value {
    string string_value = 1;
    bool bool_value = 2;
    int64 int_value = 3;
    double double_value = 4;
    ArrayValue array_value = 5;
    KeyValueList kvlist_value = 6;
    bytes bytes_value = 7;
  }
}

message ArrayValue { repeated AnyValue values = 1; }

message KeyValueList { repeated KeyValue values = 1; }

message KeyValue {
  string key = 1;
  AnyValue value = 2;
}
`;
