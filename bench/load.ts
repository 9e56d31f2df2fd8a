/** Load made by iperf3 and wrk in a pod, and what their output says. */
import type { LabApi, PodRef } from '../lab/index.ts';

export interface Target {
  readonly ip: string;
  readonly iperfPort: number;
  readonly httpPort: number;
}

export interface HttpResult {
  readonly rps: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface HttpLoad {
  readonly connections: number;
  /** A new connection for each request. */
  readonly close: boolean;
}

/** Bits a second, in millions, that arrived at the server; and gigabytes (10^9) moved. */
export async function iperf(lab: LabApi, from: PodRef, to: Target, streams: number, seconds: number) {
  const argv = ['iperf3', '--json', '--client', to.ip, '--port', String(to.iperfPort)];
  argv.push('--parallel', String(streams), '--time', String(seconds));
  const result = await lab.exec(from, argv, { timeout: (seconds + 20) * 1_000 });
  return parseIperf(result.stdout);
}

export function parseIperf(json: string): { readonly mbits: number; readonly gigabytes: number } {
  const report = JSON.parse(json) as {
    error?: string;
    end?: { sum_received?: { bits_per_second: number; bytes: number } };
  };
  const sum = report.end?.sum_received;
  if (report.error !== undefined || sum === undefined) throw new Error(`iperf3: ${report.error ?? 'no result'}`);
  return { mbits: sum.bits_per_second / 1e6, gigabytes: sum.bytes / 1e9 };
}

export async function wrk(lab: LabApi, from: PodRef, to: Target, load: HttpLoad, seconds: number): Promise<HttpResult> {
  const threads = Math.min(2, load.connections);
  const argv = ['wrk', '--latency', '--threads', String(threads), '--connections', String(load.connections)];
  argv.push('--duration', `${Math.max(1, Math.round(seconds))}s`, '--timeout', '10s');
  if (load.close) argv.push('--header', 'Connection: close');
  argv.push(`http://${to.ip}:${to.httpPort}/`);
  const result = await lab.exec(from, argv, { timeout: (seconds + 20) * 1_000 });
  if (result.code !== 0) throw new Error(`wrk: ${result.stderr.trim() || result.stdout.trim()}`);
  return parseWrk(result.stdout);
}

export function parseWrk(text: string): HttpResult {
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text);
  const rps = /Requests\/sec:\s+([\d.]+)/.exec(text)?.[1];
  const p50 = /\n\s+50%\s+([\d.]+)(us|ms|s)/.exec(text);
  const p99 = /\n\s+99%\s+([\d.]+)(us|ms|s)/.exec(text);
  if (rps === undefined || p50 === null || p99 === null) throw new Error(`wrk printed no result: ${text.trim()}`);
  // wrk counts the server's close after a `Connection: close` answer as nothing; these are calls that failed.
  const [, connect, , write, timeout] = errors ?? [];
  if (Number(connect ?? 0) + Number(write ?? 0) + Number(timeout ?? 0) > 0) throw new Error(`wrk: ${errors![0]}`);
  return { rps: Number(rps), p50Us: micros(p50), p99Us: micros(p99) };
}

function micros([, amount, unit]: readonly string[]): number {
  return Number(amount) * (unit === 's' ? 1e6 : unit === 'ms' ? 1e3 : 1);
}
