/**
 * `tunnel.ts HOST AUTHORITY...`: opens HBONE to HOST:15008 with the certificate in MTLS (PEM: key, leaf), sends one CONNECT for each
 * authority on a connection of its own and prints a JSON list of TunnelAnswer.
 */
import http2 from 'node:http2';

export interface TunnelAnswer {
  readonly authority: string;
  /** Absent: there was no HTTP answer. */
  readonly status?: number;
  /** What came through the tunnel first. */
  readonly bytes: string;
  readonly error: string;
}

const [host, ...authorities] = process.argv.slice(2);
const pem = process.env['MTLS'] ?? '';
process.stdout.write(`${JSON.stringify(await Promise.all(authorities.map(tunnel)))}\n`);

function tunnel(authority: string): Promise<TunnelAnswer> {
  return new Promise((resolve) => {
    const answer: { status?: number; bytes: string; error: string } = { bytes: '', error: '' };
    const session = http2.connect(`https://${host?.includes(':') ? `[${host}]` : host}:15008`, {
      key: pem,
      cert: pem,
      minVersion: 'TLSv1.3',
      // Attackers do not check whom they attack.
      rejectUnauthorized: false,
    });
    const finish = () => {
      clearTimeout(timer);
      session.destroy();
      resolve({ authority, ...answer });
    };
    const fail = (e: NodeJS.ErrnoException) => {
      answer.error ||= e.code ?? e.message;
    };
    const timer = setTimeout(finish, 3_000);
    session.on('error', fail);
    session.on('close', finish);
    const stream = session.request({ ':method': 'CONNECT', ':authority': authority });
    stream.on('error', fail);
    stream.on('response', (headers) => {
      answer.status = headers[':status'] ?? 0;
      if (answer.status !== 200) finish();
    });
    stream.on('data', (d: Buffer) => {
      answer.bytes += d.toString();
      finish();
    });
    stream.on('close', finish);
  });
}
