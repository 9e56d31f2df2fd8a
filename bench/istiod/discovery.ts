/** istiod alone in a process, and what the kernel and its metrics say of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { usageOf } from '../process-tree.ts';
import type { Stall, StallCommand } from './protocol.ts';

const root = join(import.meta.dirname, '../..');

export interface Discovery {
  readonly pid: number;
  readonly grpc: number;
  /** Ms from its start to ready. */
  readonly startMs: number;
  cpuSeconds(): number;
  rssMb(): number;
  /** Largest resident memory since the last call. */
  peakMb(): number;
  /** Looks at its event loop from now on. */
  look(): void;
  /** Since it looks, from its start at first. */
  stall(): Promise<Stall>;
  stop(): Promise<void>;
}

export async function startDiscovery(kubeconfig: string, dataDir: string): Promise<Discovery> {
  const began = performance.now();
  const args = [
    'discovery',
    '--kubeconfig',
    kubeconfig,
    '--grpcAddr',
    '127.0.0.1:0',
    '--secureGRPCAddr=',
    '--httpAddr=',
    '--httpsAddr=',
    '--consoleAddr=',
  ];
  const child = spawn(join(root, 'bin/istiod'), [...args, '--monitoringAddr', '127.0.0.1:0'], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    env: {
      ...process.env,
      AQUIFER_DATA_DIR: dataDir,
      RUST_LOG: 'info',
      NODE_OPTIONS: `--import=${join(import.meta.dirname, 'turns.ts')}`,
    },
  });
  const ended = once(child, 'exit');
  let text = '';
  for await (const chunk of child.stdout!.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (/\tserving /.test(text)) break;
  }
  child.stdout!.resume();
  const ports = /grpc=(\d+)/.exec(text);
  if (ports === null) throw new Error(`istiod did not start:\n${text}`);
  const pid = child.pid!;
  const peak = () => Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024;
  const tell = (command: StallCommand) => void child.send(command);
  const stall = async () => {
    tell('say');
    const [worst] = (await once(child, 'message')) as [Stall];
    return worst;
  };
  return {
    pid,
    grpc: Number(ports[1]),
    startMs: performance.now() - began,
    cpuSeconds: () => usageOf([pid]).cpuSeconds,
    rssMb: () => usageOf([pid]).rssMb,
    peakMb() {
      const mb = peak();
      writeFileSync(`/proc/${pid}/clear_refs`, '5');
      return mb;
    },
    look: () => tell('look'),
    stall,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
