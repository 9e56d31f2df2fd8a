/**
 * Image aquifer/echo: says what it sees of its callers. HTTP answers with JSON; TCP and UDP on the other port send back what they
 * get, on TCP after one line of the same JSON.
 *
 * --http PORT (8080)   --stream PORT (9090)
 */
import { createSocket } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: { http: { type: 'string', default: '8080' }, stream: { type: 'string', default: '9090' } },
});
const httpPort = Number(values.http);
const streamPort = Number(values.stream);

function facts(socket: Socket) {
  return {
    pod: hostname(),
    peer: { address: plain(socket.remoteAddress), port: socket.remotePort },
    local: { address: plain(socket.localAddress), port: socket.localPort },
  };
}

/** A dual-stack socket shows IPv4 peers as v4-mapped IPv6 addresses. */
function plain(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:/, '');
}

createHttpServer((request, response) => {
  const { method, url, headers } = request;
  const body = JSON.stringify({ ...facts(request.socket), method, url, headers });
  response.writeHead(200, { 'content-type': 'application/json' }).end(`${body}\n`);
}).listen(httpPort, '::');

createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.write(`${JSON.stringify(facts(socket))}\n`);
  socket.pipe(socket);
}).listen(streamPort, '::');

const udp = createSocket('udp6');
udp.on('message', (data, from) => udp.send(data, from.port, from.address));
udp.bind(streamPort);

// The first process of a container decides about its end.
process.on('SIGTERM', () => process.exit(0));
