/** What a port speaks, by its appProtocol or the first word of its name, as Istio reads them. */
import type { AppProtocol, PortProtocol } from '../../common/mesh/types.ts';

const words: Readonly<Record<string, AppProtocol>> = {
  http: 'HTTP11',
  http2: 'HTTP2',
  h2c: 'HTTP2',
  grpc: 'GRPC',
  https: 'TLS',
  tls: 'TLS',
  tcp: 'TCP',
  mongo: 'TCP',
  mysql: 'TCP',
  redis: 'TCP',
};

/** Names that Kubernetes has given out. */
const standard: Readonly<Record<string, AppProtocol>> = {
  'kubernetes.io/h2c': 'HTTP2',
  'kubernetes.io/ws': 'HTTP11',
  'kubernetes.io/wss': 'TLS',
};

/** SMTP, DNS, MySQL and MongoDB: none of them lets the client speak first in HTTP. */
const tcpPorts = new Set([25, 53, 3306, 27_017]);

/** undefined: unknown, a proxy has to find out. */
export function appProtocolOf(
  { name = '', appProtocol }: { readonly name?: string | undefined; readonly appProtocol?: string | undefined },
  port: number,
): PortProtocol | undefined {
  if (appProtocol !== undefined && Object.hasOwn(standard, appProtocol)) return standard[appProtocol];
  const text = (appProtocol ?? name).toLowerCase();
  if (text.startsWith('grpc-web')) return 'GRPC_WEB';
  const word = text.split('-', 1)[0]!;
  if (Object.hasOwn(words, word)) return words[word];
  return tcpPorts.has(port) ? 'TCP' : undefined;
}
