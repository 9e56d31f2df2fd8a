/** The calls that the demo makes, each carrying a random marker that the server sends back. */
import { randomBytes } from 'node:crypto';
import { type Ip, isIpv6 } from '../common/core/net.ts';
import type { PodRef } from '../lab/index.ts';
import type { Server, Stage } from './stage.ts';

/** 32 bytes that occur nowhere else: base64url of 24 random ones, so that they survive every protocol as they are. */
export function newMarker(): string {
  return randomBytes(24).toString('base64url');
}

export interface Call {
  /** `client -> web by VIP, IPv6`. */
  readonly title: string;
  readonly from: PodRef;
  readonly argv: readonly string[];
  readonly stdin?: string;
  readonly marker: string;
  /** Whether the answer, not only the call, must carry the marker. */
  readonly echoes: boolean;
  /** Crosses the link between the nodes. */
  readonly crossesNodes: boolean;
}

export interface Answer {
  readonly call: Call;
  /** Empty when the call was answered as expected. */
  readonly failure: string;
  readonly stdout: string;
}

/** Each server by Service VIP and by pod address, in both families, from the other node and from its own. */
export function allCalls(stage: Stage): readonly Call[] {
  const { client, neighbour, web, cache, meter } = stage;
  return [
    ...[web, cache].flatMap((server) => addresses(server).map((to) => call(client, 'client', server, to))),
    ...[web, cache].flatMap((server) => addresses(server).map((to) => call(neighbour, 'neighbour', server, to))),
    ...addresses(meter)
      .filter((to) => to.by === 'VIP')
      .map((to) => call(client, 'client', meter, to)),
  ];
}

export async function makeCalls(stage: Stage, calls: readonly Call[]): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  for (const call of calls) answers.push(await make(stage, call));
  return answers;
}

async function make(stage: Stage, call: Call): Promise<Answer> {
  const options = { timeout: 10_000, ...(call.stdin === undefined ? {} : { stdin: call.stdin }) };
  const result = await stage.lab.exec(call.from, call.argv, options);
  const stdout = result.stdout.trim();
  if (result.code !== 0) return { call, stdout, failure: `exit ${result.code}: ${result.stderr.trim() || stdout}` };
  if (call.echoes && !stdout.includes(call.marker))
    return { call, stdout, failure: `answered without the marker: ${stdout}` };
  return { call, stdout, failure: '' };
}

interface Address {
  readonly ip: Ip;
  readonly port: number;
  readonly by: 'VIP' | 'pod address';
}

function addresses(server: Server): readonly Address[] {
  return [
    ...server.vips.map((ip): Address => ({ ip, port: server.servicePort, by: 'VIP' })),
    ...server.podIps.map((ip): Address => ({ ip, port: server.podPort, by: 'pod address' })),
  ];
}

function call(from: PodRef, fromName: 'client' | 'neighbour', server: Server, to: Address): Call {
  const marker = newMarker();
  const family = isIpv6(to.ip) ? 'IPv6' : 'IPv4';
  return {
    title: `${fromName} -> ${server.name} by ${to.by}, ${family}`,
    from,
    marker,
    crossesNodes: fromName === 'client',
    ...program(server, to, marker),
  };
}

function program(server: Server, { ip, port }: Address, marker: string): Pick<Call, 'argv' | 'stdin' | 'echoes'> {
  switch (server.name) {
    case 'web':
    case 'catalog':
      return { argv: ['curl', '-sS', '--max-time', '5', `http://${host(ip)}:${port}/${marker}`], echoes: true };
    case 'cache':
      return { argv: ['redis-cli', '-h', ip, '-p', String(port), '--raw', 'ECHO', marker], echoes: true };
    case 'meter':
      // iperf3 sends what it reads: 1 MiB of the marker.
      return {
        argv: ['iperf3', '--client', ip, '--port', String(port), '--file', '/dev/stdin', '--bytes', '1M'],
        stdin: marker.repeat(32 * 1024),
        echoes: false,
      };
  }
}

/** An address as it stands in a URL. */
export function host(ip: Ip): string {
  return isIpv6(ip) ? `[${ip}]` : ip;
}
