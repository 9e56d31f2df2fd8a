/** Which HTTP endpoints are spoken to in. */
import type { AppProtocol } from '../../../common/mesh/types.ts';
import { type Message, typed } from '../values.ts';

const name = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

export interface ProtocolChoices {
  /** Speak HTTP/2 whatever the port's name says, HTTP/1.1, or what the client speaks. */
  readonly force?: 'http2' | 'http1' | 'client' | undefined;
  readonly common?: Message | undefined;
  readonly http2?: Message | undefined;
}

/**
 * Of the message `HttpProtocolOptions`, under its name. A port that says HTTP/2 gets it; any other what its client speaks: that is
 * what it would get without a proxy between them.
 */
export function protocolOptions(protocol: AppProtocol | undefined, choices: ProtocolChoices = {}): Message {
  const { common, http2 = {} } = choices;
  const force = choices.force ?? (protocol === 'HTTP2' || protocol === 'GRPC' ? 'http2' : 'client');
  const config =
    force === 'http2'
      ? { explicit_http_config: { http2_protocol_options: http2 } }
      : force === 'http1'
        ? { explicit_http_config: { http_protocol_options: {} } }
        : { use_downstream_protocol_config: { http_protocol_options: {}, http2_protocol_options: http2 } };
  return { [name]: typed(name, { ...(common && { common_http_protocol_options: common }), ...config }) };
}
