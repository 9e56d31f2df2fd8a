/** Every documented operator once, with an argument where it needs one. */
import { operators } from '../../common/envoy/operators.ts';

const needed: Readonly<Record<string, string>> = {
  CEL: 'request.method',
  CLUSTER_METADATA: 'n:k',
  COALESCE: '{"operators": ["REQUESTED_SERVER_NAME", {"command": "REQ", "param": ":authority", "max_length": 3}]}',
  COMMON_DURATION: 'DS_RX_BEG:DS_TX_END:us',
  DYNAMIC_METADATA: 'n:k',
  ENVIRONMENT: 'PATH',
  FILTER_STATE: 'k:PLAIN',
  METADATA: 'CLUSTER:n:k',
  QUERY_PARAM: 'a',
  REQ: ':path',
  REQUEST_HEADER: ':path',
  REQ_WITHOUT_QUERY: ':path',
  RESP: ':status',
  RESPONSE_HEADER: 'server',
  RESPONSE_TRAILER: 'x',
  TRAILER: 'x',
  TYPED_CEL: 'size(request.method)',
  UPSTREAM_FILTER_STATE: 'k:PLAIN',
  UPSTREAM_METADATA: 'n:k',
};

/** `%NAME%` by its name. */
export const operatorExamples: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(operators).map(([name, { argument }]) => [
    name,
    argument === 'needed' ? `%${name}(${needed[name]})%` : `%${name}%`,
  ]),
);
