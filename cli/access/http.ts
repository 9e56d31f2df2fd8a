/** One HTTP request over a connection that stands. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { MeshError } from '../../common/core/errors.ts';
import { request } from '../../common/core/node-http.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Ms. A config_dump of a big mesh takes a second. */
const patience = 30_000;

/** `path` with its query. MeshError CONNECT_FAILED in the words of what failed. */
export function askOver(connection: Duplex, path: string, method: 'GET' | 'POST' = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const late = AbortSignal.timeout(patience);
    const fail = (e: Error) =>
      reject(
        late.aborted
          ? new MeshError('CONNECT_FAILED', `no answer in ${patience / 1000} s`)
          : e instanceof MeshError
            ? e
            : new MeshError('CONNECT_FAILED', e.message, { cause: e }),
      );
    // Loopback in words of its own: Envoy's admin page takes no host that it does not know.
    const asked = request({
      method,
      path,
      signal: late,
      host: 'localhost',
      headers: { connection: 'close' },
      createConnection: () => connection as Socket,
    });
    connection.on('error', fail);
    asked.on('error', fail);
    asked.on('response', (response) => {
      text(response).then((body) => resolve({ status: response.statusCode ?? 0, body }), fail);
    });
    asked.end();
  });
}
