/** The probes of active health checks over connections that the runtime dials. */
import type { OutgoingHttpHeaders } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Clock } from '../../../common/core/clock.ts';
import { request as httpRequest } from '../../../common/core/node-http.ts';
import { Headers } from '../../request/headers.ts';
import type { HealthCheck, HealthProbe, UpstreamProtocol } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { Transport } from '../transport.ts';
import type { HostAddress } from '../types.ts';
import type { Probe, ProbeResult } from './checker.ts';
import { type Answered, type Asked, exchange } from './http2-exchange.ts';

/** A connection to `address` over `transport`, the host's own, with TLS where that has it. Rejects when the signal aborts. */
export type Dial = (
  host: LiveHost,
  address: HostAddress,
  alpn: readonly string[],
  signal: AbortSignal,
  transport: Transport,
) => Promise<Duplex>;

export interface ProberOptions {
  readonly dial: Dial;
  /** Its name is the authority where neither check nor host has one; its protocol bounds what an answer by HTTP/2 may be. */
  readonly cluster: { readonly name: string; readonly protocol: UpstreamProtocol };
  readonly clock: Clock;
  transportOf(host: LiveHost): Transport;
}

/** A connection is made for each probe. */
export function prober({ dial, cluster, clock, transportOf }: ProberOptions): Probe {
  return async (host, check, signal) => {
    const probe = check.check;
    const alpn = check.alpn.length > 0 ? check.alpn : alpnOf(probe);
    const duplex = await dial(host, addressOf(host, check), alpn, signal, transportOf(host));
    const authority = host.healthCheck.hostname || host.hostname || cluster.name;
    const byHttp2: ByHttp2 = (asked) => exchange(duplex, asked, cluster.protocol, clock, signal);
    try {
      switch (probe.kind) {
        case 'tcp':
          return await probeTcp(duplex, probe, signal);
        case 'grpc':
          return await probeGrpc(probe, probe.authority ?? authority, byHttp2);
        case 'http':
          return probe.protocol === 'http2'
            ? await probeHttp2(probe, probe.host ?? authority, byHttp2)
            : await probeHttp1(duplex, probe, probe.host ?? authority, signal);
      }
    } finally {
      duplex.destroy();
    }
  };
}

function alpnOf(probe: HealthProbe): readonly string[] {
  if (probe.kind === 'tcp') return [];
  return probe.kind === 'grpc' || probe.protocol === 'http2' ? ['h2'] : ['http/1.1'];
}

function addressOf(host: LiveHost, check: HealthCheck): HostAddress {
  const address = host.healthCheck.address ?? host.address;
  return check.altPort !== undefined && address.kind === 'ip' ? { ...address, port: check.altPort } : address;
}

type ByHttp2 = (asked: Asked) => Promise<Answered>;
type TcpProbe = Extract<HealthProbe, { kind: 'tcp' }>;
type HttpProbe = Extract<HealthProbe, { kind: 'http' }>;
type GrpcProbe = Extract<HealthProbe, { kind: 'grpc' }>;

const passed: ProbeResult = { kind: 'passed', degraded: false };

function probeTcp(duplex: Duplex, probe: TcpProbe, signal: AbortSignal): Promise<ProbeResult> {
  if (probe.send.length > 0) duplex.write(probe.send);
  if (probe.receive.length === 0) return Promise.resolve(passed);
  return new Promise((resolve, reject) => {
    let seen = Buffer.alloc(0);
    duplex.on('data', (chunk: Buffer) => {
      seen = Buffer.concat([seen, chunk]);
      if (contains(seen, probe.receive)) resolve(passed);
    });
    duplex.on('error', reject);
    duplex.on('close', () => reject(new Error('closed before the expected bytes came')));
    signal.addEventListener('abort', () => reject(new Error('timeout')), { once: true });
  });
}

/** All parts in order, with anything between them. */
export function contains(bytes: Buffer, parts: readonly Buffer[]): boolean {
  let at = 0;
  for (const part of parts) {
    const found = bytes.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
}

function probeHttp1(duplex: Duplex, probe: HttpProbe, authority: string, signal: AbortSignal): Promise<ProbeResult> {
  return new Promise((resolve, reject) => {
    const headers = headersOf(probe, { host: authority, 'user-agent': 'Envoy/HC' });
    const { method, path } = probe;
    const sent = httpRequest({ method, path, headers, createConnection: () => duplex, signal }, (answer) => {
      resolve(verdict(probe, answer.statusCode ?? 0, answer.headers));
      answer.resume();
    });
    sent.on('error', reject);
    sent.end();
  });
}

async function probeHttp2(probe: HttpProbe, authority: string, ask: ByHttp2): Promise<ProbeResult> {
  const headers = headersOf(probe, { 'user-agent': 'Envoy/HC' });
  const { method, path } = probe;
  const list = Object.entries(headers).flatMap(([name, value]) => [name, String(value)]);
  const answer = await ask({ method, path, authority, headers: list, body: Buffer.alloc(0) });
  return verdict(probe, answer.status, {
    'x-envoy-degraded': new Headers([...answer.headers]).first('x-envoy-degraded'),
  });
}

function headersOf(probe: HttpProbe, base: OutgoingHttpHeaders): OutgoingHttpHeaders {
  const out: OutgoingHttpHeaders = { ...base };
  for (const { name, value, append } of probe.addHeaders) {
    out[name] = append && out[name] !== undefined ? `${String(out[name])}, ${value}` : value;
  }
  for (const name of probe.removeHeaders) delete out[name];
  return out;
}

function verdict(probe: HttpProbe, status: number, headers: Readonly<Record<string, unknown>>): ProbeResult {
  const within = (ranges: HttpProbe['expected']) => ranges.some(([from, to]) => status >= from && status < to);
  if (within(probe.expected)) return { kind: 'passed', degraded: headers['x-envoy-degraded'] !== undefined };
  return { kind: 'failed', reason: `status ${status}`, answered: true, retriable: within(probe.retriable) };
}

/** SERVING of grpc.health.v1. */
const serving = 1;

async function probeGrpc(probe: GrpcProbe, authority: string, ask: ByHttp2): Promise<ProbeResult> {
  const answer = await ask({
    method: 'POST',
    path: '/grpc.health.v1.Health/Check',
    authority,
    headers: ['content-type', 'application/grpc', 'te', 'trailers', 'user-agent', 'Envoy/HC'],
    body: healthRequest(probe.service),
  });
  const told = (list: Answered['headers']) => new Headers([...list]).first('grpc-status');
  const status = told(answer.trailers) ?? told(answer.headers);
  const health = readHealth(answer.body);
  if (status === '0' && health === serving) return passed;
  return { kind: 'failed', reason: `grpc-status ${status}, health ${health}`, answered: true, retriable: false };
}

/** HealthCheckRequest: field 1 is the service. */
function healthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  // A name of 128 bytes and more has a longer length.
  const length = name.length < 128 ? [name.length] : [(name.length & 127) | 128, name.length >> 7];
  const message = name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, ...length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** HealthCheckResponse: field 1 is the status, a varint below 128; undefined: no such message. */
function readHealth(frame: Buffer): number | undefined {
  if (frame.length < 5 || frame[0] !== 0 || frame.length < 5 + frame.readUInt32BE(1)) return undefined;
  if (frame.readUInt32BE(1) === 0) return 0;
  return frame[5] === 0x08 ? frame[6] : undefined;
}
