/** A mesh by its charts in which parts are replaced by Istio's and back, with calls running: what the scripts of this folder share. */
import { resolve } from 'node:path';
import { describeError } from '../../common/core/errors.ts';
import { Calls, HelmedLab } from '../e2e/helmed.ts';

/** Does something, and fails when a call that began meanwhile was lost. */
export type Step = (what: string, run: () => Promise<void>) => Promise<void>;

/** Prints a line a step; the process exits with 1 when one failed. */
export async function underCalls(
  name: string,
  capture: 'ebpf' | 'nft',
  run: (lab: HelmedLab, step: Step) => Promise<void>,
): Promise<void> {
  const lab = await HelmedLab.up(name, capture);
  try {
    await lab.installAll();
    const calls = await Calls.start(lab.world);
    await run(lab, async (what, act) => {
      const began = new Date().toISOString();
      try {
        await act();
        const lost = calls.lost.filter(({ at }) => at >= began);
        if (lost.length > 0) throw new Error(`${lost.length} calls were lost: ${JSON.stringify(lost.slice(0, 3))}`);
        console.log(`ok    ${what}`);
      } catch (e) {
        process.exitCode = 1;
        console.log(`fails ${what}: ${describeError(e)}`);
      }
    });
    console.log(`      ${calls.made} calls, ${calls.lost.length} lost`);
  } finally {
    await lab.world.down();
  }
}

/** Values, which Istio's charts have too, that put a program of this machine in the place of one of ours. */
export function programInstead(ours: 'ztunnel' | 'istiod', path: string): readonly string[] {
  const volume = [{ name: 'istio', hostPath: { path: resolve(path), type: 'File' } }];
  const mount = [{ name: 'istio', mountPath: `/usr/local/bin/${ours}`, readOnly: true }];
  return ['--set-json', `volumes=${JSON.stringify(volume)}`, '--set-json', `volumeMounts=${JSON.stringify(mount)}`];
}

export interface Arguments {
  readonly path: string;
  readonly rounds: number;
}

/** PATH [ROUNDS] */
export function programArguments([path, rounds]: readonly string[]): Arguments {
  if (path === undefined) throw new Error("which program of Istio's? give its path");
  return { path, rounds: Number(rounds ?? 1) };
}
