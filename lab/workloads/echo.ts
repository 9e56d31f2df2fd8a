/**
 * Image aquifer/echo: says what it sees of its callers. HTTP on PORT (default 8080) answers with JSON; TCP and UDP on STREAM_PORT
 * (default 9090) send back what they get, on TCP after one line of the same JSON.
 */
import { createSocket } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { hostname } from 'node:os';

const httpPort = Number(process.env['PORT'] ?? 8080);
const streamPort = Number(process.env['STREAM_PORT'] ?? 9090);

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
