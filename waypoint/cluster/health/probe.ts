/** The probes of active health checks over connections that the runtime dials. */
import type { OutgoingHttpHeaders } from 'node:http';
import { connect as http2Connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import { request as httpRequest } from '../../../common/core/node-http.ts';
import type { HealthCheck, HealthProbe } from '../config.ts';
import type { LiveHost } from '../hosts/host.ts';
import type { Transport } from '../transport.ts';
import type { HostAddress } from '../types.ts';
import type { Probe, ProbeResult } from './checker.ts';

/** A connection to `address` over `transport`, the host's own, with TLS where that has it. Rejects when the signal aborts. */
export type Dial = (
  host: LiveHost,
  address: HostAddress,
  alpn: readonly string[],
  signal: AbortSignal,
  transport: Transport,
) => Promise<Duplex>;

/** `clusterName`: the authority where neither check nor host has one. A connection is made for each probe. */
export function prober(dial: Dial, clusterName: string, transportOf: (host: LiveHost) => Transport): Probe {
  return async (host, check, signal) => {
    const probe = check.check;
    const alpn = check.alpn.length > 0 ? check.alpn : alpnOf(probe);
    const duplex = await dial(host, addressOf(host, check), alpn, signal, transportOf(host));
    const authority = host.healthCheck.hostname || host.hostname || clusterName;
    try {
      switch (probe.kind) {
        case 'tcp':
          return await probeTcp(duplex, probe, signal);
        case 'grpc':
          return await probeGrpc(duplex, probe, probe.authority ?? authority, signal);
        case 'http':
          return await (probe.protocol === 'http2' ? probeHttp2 : probeHttp1)(
            duplex,
            probe,
            probe.host ?? authority,
            signal,
          );
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

function probeHttp2(duplex: Duplex, probe: HttpProbe, authority: string, signal: AbortSignal): Promise<ProbeResult> {
  const pseudo = { ':method': probe.method, ':path': probe.path, ':authority': authority, ':scheme': 'http' };
  const headers = headersOf(probe, { ...pseudo, 'user-agent': 'Envoy/HC' });
  return overHttp2(duplex, signal, (session, resolve, reject) => {
    const stream = session.request(headers, { endStream: true });
    stream.on('response', (answer) => resolve(verdict(probe, Number(answer[':status'] ?? 0), answer)));
    stream.on('error', reject);
    stream.resume();
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

function probeGrpc(duplex: Duplex, probe: GrpcProbe, authority: string, signal: AbortSignal): Promise<ProbeResult> {
  return overHttp2(duplex, signal, (session, resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      ':authority': authority,
      ':scheme': 'http',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'Envoy/HC',
    });
    const chunks: Buffer[] = [];
    let status: string | undefined;
    stream.on('response', (answer) => {
      status = answer['grpc-status'] as string | undefined;
    });
    stream.on('trailers', (answer) => {
      status = answer['grpc-status'] as string | undefined;
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('end', () => {
      const answer = readHealth(Buffer.concat(chunks));
      if (status === '0' && answer === serving) return resolve(passed);
      resolve({ kind: 'failed', reason: `grpc-status ${status}, health ${answer}`, answered: true, retriable: false });
    });
    stream.end(healthRequest(probe.service));
  });
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

type Session = ReturnType<typeof http2Connect>;

function overHttp2(
  duplex: Duplex,
  signal: AbortSignal,
  ask: (session: Session, resolve: (result: ProbeResult) => void, reject: (error: unknown) => void) => void,
): Promise<ProbeResult> {
  return new Promise<ProbeResult>((resolve, reject) => {
    const session = http2Connect('http://health.check', { createConnection: () => duplex });
    const end = (settle: () => void) => {
      settle();
      session.destroy();
    };
    session.on('error', (error) => end(() => reject(error)));
    session.on('close', () => reject(new Error('the connection was closed')));
    signal.addEventListener('abort', () => end(() => reject(new Error('timeout'))), { once: true });
    ask(
      session,
      (result) => end(() => resolve(result)),
      (error) => end(() => reject(error)),
    );
  });
}
