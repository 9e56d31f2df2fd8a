/** A client that comes to a waypoint as a node proxy does: HTTP/1.1 inside of CONNECT inside of mutual TLS. Only for tests. */
import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { WorkloadCertificate } from '../../common/identity/types.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Asked {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request to `destination` (`ip:port` of a service) through the waypoint on this machine. */
export async function askThrough(
  certificate: WorkloadCertificate,
  destination: string,
  { path = '/', method = 'GET', headers = {} }: Asked = {},
): Promise<Answer> {
  const session = connect('https://127.0.0.1:15008', {
    cert: certificate.chain.join('\n'),
    key: certificate.privateKey,
    ca: certificate.roots.join('\n'),
    checkServerIdentity: () => undefined,
  });
  session.on('error', () => undefined);
  try {
    const tunnel = session.request({ ':method': 'CONNECT', ':authority': destination });
    const [response] = (await once(tunnel, 'response')) as [{ readonly ':status'?: number }];
    if (response[':status'] !== 200) return { status: response[':status'] ?? 0, headers: {}, body: 'of CONNECT' };
    const sent = request({
      createConnection: () => tunnel as unknown as Duplex as never,
      path,
      method,
      headers: { host: 'web.shop', connection: 'close', ...headers },
    });
    sent.end();
    const [answer] = (await once(sent, 'response')) as [import('node:http').IncomingMessage];
    let body = '';
    for await (const chunk of answer) body += String(chunk);
    return { status: answer.statusCode ?? 0, headers: answer.headers, body };
  } finally {
    session.destroy();
  }
}
