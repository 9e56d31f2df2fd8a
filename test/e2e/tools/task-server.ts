/**
 * A server for Istio's tasks, on port 8080. It says what it sees as JSON, and by path: `/status/CODE` answers so, `/delay/MS` takes so
 * long, `/seen/TEXT` says how often a path with that text was asked for. As an authorizer (`/check...`) it lets requests with
 * `x-ext-authz: allow` pass.
 */
import { createServer } from 'node:http';
import { hostname } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

const seen: string[] = [];

createServer(async (request, response) => {
  const { method, url = '', headers, socket } = request;
  const [, what = '', value = ''] = url.split('/');
  if (what === 'seen') {
    response.end(String(seen.filter((path) => path.includes(value)).length));
    return;
  }
  seen.push(url);
  if (what === 'delay') await pause(Number(value));
  const denied = what === 'check' && headers['x-ext-authz'] !== 'allow';
  const status = denied ? 403 : what === 'status' ? Number(value) : 200;
  const address = socket.remoteAddress?.replace(/^::ffff:/, '');
  response.writeHead(status, { 'content-type': 'application/json', 'x-decided': denied ? 'denied' : 'allowed' });
  response.end(
    denied
      ? 'denied by the decider'
      : `${JSON.stringify({ pod: hostname(), peer: { address }, method, url, headers })}\n`,
  );
}).listen(8080, '::');

process.on('SIGTERM', () => process.exit(0));
