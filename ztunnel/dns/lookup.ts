/** Addresses of a name, exactly as a pod would get them from the DNS proxy. */
import dns from 'dns-packet';
import { MeshError } from '../../common/core/errors.ts';
import { type Ip, parseIp } from '../../common/core/net.ts';
import type { DnsAnswerer } from './answer.ts';
import { addressQuery } from './message.ts';

/** Of IPv4, else of IPv6; undefined where it has neither. MeshError NO_HEALTHY_UPSTREAM where nobody knows. */
export async function addressOf(answerer: DnsAnswerer, name: string, signal: AbortSignal): Promise<Ip | undefined> {
  for (const type of ['A', 'AAAA'] as const) {
    const query = addressQuery(name, type);
    const short = await ask(answerer, query, 'udp', signal);
    const reply = short.flag_tc ? await ask(answerer, query, 'tcp', signal) : short;
    for (const answer of reply.answers ?? []) {
      const ip = answer.type === type ? parseIp(answer.data) : undefined;
      if (ip !== undefined) return ip;
    }
  }
  return undefined;
}

async function ask(
  answerer: DnsAnswerer,
  query: Buffer,
  transport: 'udp' | 'tcp',
  signal: AbortSignal,
): Promise<dns.DecodedPacket> {
  const reply = await answerer.answer(query, transport, signal);
  signal.throwIfAborted();
  try {
    if (reply) return dns.decode(reply);
  } catch {
    // The name server answered the question with something that cannot be read.
  }
  throw new MeshError('NO_HEALTHY_UPSTREAM', 'the name servers give no answer that can be read');
}
