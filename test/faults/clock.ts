/** The wall clock of a lab's ztunnels and istiod, set by a test; their timers, and the machine, do not notice. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LabOptions } from '../../lab/index.ts';

const preload = join(import.meta.dirname, '../tools/build/clock.so');

export class TestClock {
  readonly #folder = mkdtempSync(join(tmpdir(), 'aq-clock-'));

  constructor() {
    // Workers are another user.
    chmodSync(this.#folder, 0o755);
    writeFileSync(this.#file, new BigInt64Array(1));
  }

  get #file(): string {
    return join(this.#folder, 'offset');
  }

  get env(): LabOptions['env'] {
    const env = { LD_PRELOAD: preload, TEST_CLOCK: this.#file };
    return { ztunnel: env, istiod: env };
  }

  /** Hours that it is ahead of the machine's from now on. */
  async set(hours: number): Promise<void> {
    // In place: the programs have mapped it.
    const file = await open(this.#file, 'r+');
    await file.write(new BigInt64Array([BigInt(hours * 3_600)]), 0, 8, 0);
    await file.close();
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
