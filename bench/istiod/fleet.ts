/** The bench's side of the process that plays node proxies. */
import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Command, Report } from './protocol.ts';

/** Ms that a change may take. */
const longest = 120_000;

export class Fleet {
  readonly #child: ChildProcess;
  readonly #watching = new Map<number, () => void>();
  readonly #seen = new Map<number, (at: number) => void>();
  #synced: ((r: Extract<Report, { kind: 'synced' }>) => void) | undefined;
  #silence: ((ms: number) => void) | undefined;
  #failed: (e: Error) => void = () => undefined;
  #markers = 0;

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'clients.ts'), { stdio: 'inherit', serialization: 'advanced' });
    this.#child.on('message', (report: Report) => this.#onReport(report));
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Resolves when all have the mesh, with each one's ms from its request to the last byte. */
  connect(port: number, count: number): Promise<{ readonly ms: readonly number[]; readonly bytes: number }> {
    return new Promise((resolve, reject) => {
      this.#failed = reject;
      const ms: number[] = [];
      this.#synced = (r) => {
        ms.push(r.ms);
        if (ms.length === count) resolve({ ms, bytes: r.bytes });
      };
      this.#tell({ kind: 'connect', port, count });
    });
  }

  disconnect(keep: number): void {
    this.#tell({ kind: 'disconnect', keep });
  }

  /** Resolves when the first client looks out for these bytes; `seen` with the time of the first message that holds them. */
  async watch(bytes: Buffer): Promise<{ readonly seen: Promise<number> }> {
    const id = ++this.#markers;
    const seen = new Promise<number>((resolve, reject) => {
      this.#failed = reject;
      const timer = setTimeout(() => reject(new Error(`no client saw ${bytes.toString('hex')}`)), longest);
      this.#seen.set(id, (at) => {
        clearTimeout(timer);
        resolve(at);
      });
    });
    seen.catch(() => undefined);
    await new Promise<void>((resolve) => {
      this.#watching.set(id, resolve);
      this.#tell({ kind: 'watch', id, hex: bytes.toString('hex') });
    });
    return { seen };
  }

  /** Longest ms without a message to the first client since the last call. */
  silence(): Promise<number> {
    return new Promise((resolve) => {
      this.#silence = resolve;
      this.#tell({ kind: 'silence' });
    });
  }

  stop(): void {
    this.#child.disconnect();
  }

  #tell(command: Command): void {
    this.#child.send(command);
  }

  #onReport(report: Report): void {
    switch (report.kind) {
      case 'synced':
        this.#synced?.(report);
        break;
      case 'watching':
        this.#watching.get(report.id)?.();
        this.#watching.delete(report.id);
        break;
      case 'seen':
        for (const id of report.ids) {
          this.#seen.get(id)?.(report.at);
          this.#seen.delete(id);
        }
        break;
      case 'silence':
        this.#silence?.(report.ms);
        break;
      case 'failed':
        this.#failed(new Error(report.reason));
        break;
    }
  }
}

export function monotonic(): number {
  return performance.timeOrigin + performance.now();
}
