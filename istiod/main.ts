/** The program `istiod`: discovery, the API server, both, or the service of quotas, until a signal. Exit codes: 0 ended by a signal, 1 failed, 2 wrong use. */
import { describeError } from '../common/core/errors.ts';
import { isStandalone } from './standalone/flag.ts';

/** Each loads its own modules only: the API server alone starts in half the time and memory without those of discovery. */
async function main(args: readonly string[]): Promise<number> {
  if (args[0] === 'apiserver') {
    const { runApiServer } = await import('./apiserver/command.ts');
    return runApiServer(args.slice(1), process.env);
  }
  if (args[0] === 'quota') {
    const { runQuota } = await import('./quota/command.ts');
    return runQuota(args.slice(1), process.env);
  }
  if (isStandalone(args)) {
    const { runStandalone } = await import('./standalone/standalone.ts');
    return runStandalone(args, process.env);
  }
  const { runDiscovery } = await import('./command.ts');
  return runDiscovery(args, process.env);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (e) {
  process.stderr.write(`istiod: ${describeError(e)}\n`);
  process.exitCode = 1;
}
