/** The message that configures a module of a user's in our waypoint's filter chain: ours, no Envoy knows it. */

/** In protobuf's language, for protobufjs. */
export const scriptProto = `
syntax = "proto3";
package aquifer;

message ScriptFilter {
  string name = 1;
  string source = 2;
  string sha256 = 3;
  string config = 4;
  bool fail_open = 5;
}
`;

/** `name`: kind/namespace/name of its object. `source`: JavaScript. `config`: JSON. `sha256`: of the file that it was, hex. */
export const scriptConfig = 'aquifer.ScriptFilter';
