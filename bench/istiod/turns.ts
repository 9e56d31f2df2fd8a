/**
 * Loaded into istiod by the bench: tells it, over IPC, the longest time that the event loop stood still since it was asked last, from
 * when istiod first listens: before, modules are loaded. The gauge of istiod's own metrics looks every 10 ms only, and so says up to that
 * much more.
 */
import { subscribe } from 'node:diagnostics_channel';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const turns = monitorEventLoopDelay({ resolution: 1 });
subscribe('tracing:net.server.listen:asyncStart', () => void turns.enable());
process.on('message', () => {
  process.send?.(turns.max / 1e6);
  turns.reset();
});
process.channel?.unref();
