/**
 * Runs in a client pod: `idle-holder.ts ADDRESS PORT COUNT`. Opens COUNT connections, 50 at a time, calls once on each, keeps them and
 * prints `held` when all were answered; it ends with status 1 when one fails. They stand until it is killed.
 */
import { connect, type Socket } from 'node:net';

const [ip = '', port = '0', count = '0'] = process.argv.slice(2);
const atOnce = 50;
const held: Socket[] = [];

function open(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: ip, port: Number(port), noDelay: true });
    socket.once('data', () => resolve(socket));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('a connection was closed')));
    socket.write('GET / HTTP/1.1\r\nHost: bench\r\n\r\n');
  });
}

while (held.length < Number(count)) held.push(...(await Promise.all(Array.from({ length: atOnce }, open))));
process.stdout.write('held\n');
