/** Load on a waypoint that wrk cannot make: HTTP/2, gRPC, large bodies, and a rate that does not wait for answers. */
import type { LabApi, PodRef } from '../../lab/index.ts';
import { Pace, paceArguments, paceProgram } from '../../test/harness/pace.ts';
import { copyProgram } from '../rig.ts';

/** Connections and the streams of each that are open at once. */
export const http2Load = { connections: 4, streams: 8 } as const;

/** In both forms of one gRPC call: its path, and a SimpleRequest that asks for 64 bytes, as gRPC frames it. */
const unaryCall = '/grpc.testing.TestService/UnaryCall';
const unaryFile = '/tmp/unary';
const unaryHeaders = ['--header', 'content-type: application/grpc', '--header', 'te: trailers'];

export interface Http2Result {
  readonly rps: number;
  /** Answered, all with status 200. */
  readonly requests: number;
}

export function http2Gets(lab: LabApi, from: PodRef, ip: string, seconds: number): Promise<Http2Result> {
  return h2load(lab, from, seconds, [`http://${ip}:81/`]);
}

export function grpcCalls(lab: LabApi, from: PodRef, ip: string, seconds: number): Promise<Http2Result> {
  return h2load(lab, from, seconds, ['--data', unaryFile, ...unaryHeaders, `http://${ip}${unaryCall}`]);
}

/** h2load does not look at trailers: one call beforehand shows that they are as gRPC wants them. */
export async function prepareGrpc(lab: LabApi, from: PodRef, ip: string): Promise<boolean> {
  await lab.exec(from, ['sh', '-c', `printf '\\0\\0\\0\\0\\002\\020\\100' > ${unaryFile}`]);
  const argv = ['nghttp', '--verbose', '--data', unaryFile, ...unaryHeaders, `http://${ip}${unaryCall}`];
  const { stdout } = await lab.exec(from, argv);
  return stdout.includes('grpc-status: 0');
}

async function h2load(lab: LabApi, from: PodRef, seconds: number, rest: readonly string[]): Promise<Http2Result> {
  const { connections, streams } = http2Load;
  const argv = ['h2load', '--duration', String(seconds), '--clients', String(connections)];
  argv.push('--max-concurrent-streams', String(streams), ...rest);
  const { stdout, stderr } = await lab.exec(from, argv, { timeout: (seconds + 20) * 1_000 });
  return parseH2load(`${stdout}${stderr}`, connections * streams);
}

/** `openAtEnd`: requests that the end of the time may have left without an answer. */
export function parseH2load(text: string, openAtEnd: number): Http2Result {
  const rps = /^finished in [^,]+, ([\d.]+) req\/s/m.exec(text)?.[1];
  const counts = /(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored/.exec(text);
  if (rps === undefined || counts === null) throw new Error(`h2load printed no result: ${text.trim()}`);
  const [done, succeeded, failed] = counts.slice(1).map(Number) as [number, number, number];
  if (done - succeeded > openAtEnd || failed > openAtEnd) throw new Error(`h2load: ${counts[0]}`);
  return { rps: Number(rps), requests: succeeded };
}

/** Megabytes (10^6) a second of one body of a gigabyte, to the client or from it. */
export async function gigabyte(lab: LabApi, from: PodRef, ip: string, to: 'client' | 'server'): Promise<number> {
  const transfer =
    to === 'client'
      ? ['--output', '/dev/null', '--write-out', '%{http_code} %{size_download} %{speed_download}']
      : [
          '--upload-file',
          '/tmp/gigabyte',
          '--expect100-timeout',
          '0',
          '--write-out',
          '%{http_code} %{size_upload} %{speed_upload}',
        ];
  const path = to === 'client' ? 'gigabyte' : 'upload';
  const { stdout } = await lab.exec(from, ['curl', '--silent', ...transfer, `http://${ip}/${path}`], {
    timeout: 120_000,
  });
  const [status = '', size = '', speed = ''] = stdout.trim().split(' ');
  if (!/^20[014]$/.test(status) || Number(size) !== 1e9) throw new Error(`a body of 1 GB ended with ${stdout.trim()}`);
  if (to === 'server') await lab.exec(from, ['curl', '--silent', '--request', 'DELETE', `http://${ip}/${path}`]);
  return Number(speed) / 1e6;
}

export async function makeGigabyte(lab: LabApi, pod: PodRef): Promise<void> {
  await lab.exec(pod, ['truncate', '--size', '1GB', '/tmp/gigabyte']);
}

/** On 32 connections (test/tools/pace.c). `seconds`: 0 means until it is stopped. */
export async function startPace(lab: LabApi, from: PodRef, ip: string, rate: number, seconds: number): Promise<Pace> {
  const program = await copyProgram(lab, from, paceProgram);
  const load = { ip, port: 80, connections: 32, rate, seconds };
  return new Pace(await lab.spawn(from, [program, ...paceArguments(load)]));
}
