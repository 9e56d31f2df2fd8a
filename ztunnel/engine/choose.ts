/** Which engine moves the bytes of a worker. */
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import type { ZtunnelConfig } from '../config.ts';
import type { Engine } from './engine.ts';
import { nodeEngine } from './node.ts';

/** Says in the log which one it is and why. Rejects where `native` is asked for by name and does not start. */
export async function chooseEngine(
  { engine: wanted, engineSpinUs }: Pick<ZtunnelConfig, 'engine' | 'engineSpinUs'>,
  log: Logger,
  startNative: (spinUs: number) => Promise<Engine> = native,
): Promise<Engine> {
  if (wanted === 'node') return chosen(nodeEngine, 'node', 'AQUIFER_ENGINE=node');
  try {
    const engine = await startNative(engineSpinUs);
    return chosen(engine, 'native', wanted === 'auto' ? 'the default' : 'AQUIFER_ENGINE=native');
  } catch (e) {
    if (wanted === 'native') throw e;
    log.warn("the native engine does not start; Node's moves the bytes, and takes more CPU for them", {
      error: describeError(e),
    });
    return chosen(nodeEngine, 'node', 'the native engine does not start');
  }

  function chosen(engine: Engine, name: 'node' | 'native', why: string): Engine {
    log.info('which engine moves bytes', { engine: name, why });
    return engine;
  }
}

/** Starts a thread, and is loaded only where it is to run. */
async function native(spinUs: number): Promise<Engine> {
  const { createNativeEngine } = await import('./native/engine.ts');
  return createNativeEngine(spinUs);
}
