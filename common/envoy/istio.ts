/** Messages of Istio's own extensions of Envoy: names and numbers of istio.io/api (envoy/extensions/stats/config.proto). */

/** In protobuf's language, for protobufjs. */
export const istioProto = `
syntax = "proto3";
package stats;
import "google/protobuf/duration.proto";

message MetricConfig {
  map<string, string> dimensions = 1;
  string name = 2;
  repeated string tags_to_remove = 3;
  string match = 4;
  bool drop = 5;
}

enum MetricType { COUNTER = 0; GAUGE = 1; HISTOGRAM = 2; }

message MetricDefinition {
  string name = 1;
  string value = 2;
  MetricType type = 3;
}

enum Reporter { UNSPECIFIED = 0; SERVER_GATEWAY = 1; }

message PluginConfig {
  bool debug = 1;
  int32 max_peer_cache_size = 2;
  string stat_prefix = 3;
  string field_separator = 4;
  string value_separator = 5;
  bool disable_host_header_fallback = 6;
  google.protobuf.Duration tcp_reporting_duration = 7;
  repeated MetricConfig metrics = 8;
  repeated MetricDefinition definitions = 9;
  Reporter reporter = 10;
  google.protobuf.Duration rotation_interval = 11;
  google.protobuf.Duration graceful_deletion_interval = 12;
}
`;

/** Of the filter `istio.stats`. */
export const statsConfig = 'stats.PluginConfig';
