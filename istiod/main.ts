/** The program `istiod`: discovery, the API server, or both, until a signal. Exit codes: 0 ended by a signal, 1 failed, 2 wrong use. */
import { describeError } from '../common/core/errors.ts';
import { runApiServer } from './apiserver/command.ts';
import { runDiscovery } from './command.ts';
import { isStandalone } from './standalone/config.ts';
import { runStandalone } from './standalone/standalone.ts';

async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'apiserver') return runApiServer(args.slice(1), process.env);
  if (isStandalone(args)) return runStandalone(args, process.env);
  return runDiscovery(args, process.env);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (e) {
  process.stderr.write(`istiod: ${describeError(e)}\n`);
  process.exitCode = 1;
}
