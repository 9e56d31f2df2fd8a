/**
 * `liar.ts PORT`: a name server that answers each query at once with lies (under another id, to another question, as a query) and a
 * second later with the truth, which is 192.0.2.7 for every name; prints `listening`. Lies say 192.0.2.66.
 */
import { createSocket } from 'node:dgram';
import { decode, encode, type Packet } from 'dns-packet';

const [port] = process.argv.slice(2);
const socket = createSocket('udp4');
socket.on('message', (data, from) => {
  const { id = 0, questions: [question] = [] } = decode(data);
  if (!question) return;
  const answer = (name: string, address: string): Packet => ({
    type: 'response',
    questions: [{ ...question, name }],
    answers: question.type === 'A' ? [{ type: 'A', name, ttl: 30, data: address }] : [],
  });
  const send = (packet: Packet) => socket.send(encode(packet), from.port, from.address);
  const { name } = question;
  send({ ...answer(name, '192.0.2.66'), id: (id + 1) & 0xffff });
  send({ ...answer(`not-${name}`, '192.0.2.66'), id });
  send({ ...answer(name, '192.0.2.66'), id, type: 'query' });
  setTimeout(() => send({ ...answer(name, '192.0.2.7'), id }), 1_000);
});
socket.bind(Number(port), () => process.stdout.write('listening\n'));
