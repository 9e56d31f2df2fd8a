/** The engine in C++ (native/engine): bytes never touch JavaScript, which decides and accounts as with the other. */
import { systemClock } from '../../../common/core/clock.ts';
import { createHbonePool } from '../../../common/hbone/pool.ts';
import { abi, EngineLoop } from '../../../native/engine.ts';
import type { Engine } from '../engine.ts';
import { nativeEstablish } from './client.ts';
import { Contexts } from './contexts.ts';
import { nativeHandOver } from './hand-over.ts';
import { PlanMemory } from './memory.ts';
import { hasBegun, NativeCounters, nativeRelay } from './relay.ts';
import { createNativeServer } from './server.ts';
import { accept, nativeDialer } from './tcp.ts';

/** Starts the engine's thread; `spinUs` as EngineLoop has it. Throws when the addon is not built, or is another version's. */
export function createNativeEngine(spinUs = 0): Engine {
  const loop = new EngineLoop(spinUs);
  const contexts = new Contexts(loop);
  const memory = new PlanMemory(loop);
  const establish = nativeEstablish(loop, contexts, memory);
  return {
    accept: (fd, onAccepted, onError) => accept(loop, memory, fd, onAccepted, onError),
    dialer: (clock) => nativeDialer(loop, clock),
    createServer: (options) => createNativeServer(loop, contexts, memory, options),
    createPool: (options) => createHbonePool(options, establish),
    counters: () => new NativeCounters(),
    relay: nativeRelay,
    memory,
    handOver: nativeHandOver(loop, abi, () => memory.forget(), systemClock),
    begun: hasBegun,
  };
}
