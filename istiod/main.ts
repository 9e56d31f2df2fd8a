/** The program `istiod`. Exit codes: 0 ended by a signal, 1 failed, 2 wrong use. */
import { enableCompileCache } from 'node:module';

enableCompileCache();
// After the line above, so that what these load is cached.
const { run } = await import('./run.ts');
await run(process.argv.slice(2));
