/** `bin/aquifer`. Errors are messages without stacks; exit code 1, or 64 for arguments that are not understood. */
import { describeError } from '../common/core/errors.ts';
import { OperandError, UsageError } from './arguments.ts';
import { root } from './commands.ts';
import { takesValue } from './connection-options.ts';
import { findVerb, helpOf } from './grammar.ts';

async function main(words: readonly string[]): Promise<number> {
  if (words[0] === '__complete') {
    const { complete } = await import('./completion/complete.ts');
    return complete(root, words.slice(1));
  }
  const asked = words[0] === 'help' ? [...words.slice(1), '--help'] : words;
  const found = findVerb(root, asked, takesValue);
  const { verb, args } = found;
  // What follows -- is somebody else's.
  const own = args.includes('--') ? args.slice(0, args.indexOf('--')) : args;
  const helps = own.includes('--help') || own.includes('-h');
  if (verb.load === undefined) {
    process.stdout.write(helpOf(found));
    return 0;
  }
  const { run, help } = await verb.load();
  if (helps) {
    process.stdout.write(help ?? helpOf(found));
    return 0;
  }
  return run(args);
}

/** Connections to a lab may still be open, so the process is ended; but not before a pipe has taken all that was written. */
async function end(code: number): Promise<never> {
  await new Promise((resolve) => process.stdout.write('', resolve));
  process.exit(code);
}

// The reader of a pipe went away (`| head`): nobody is left to tell.
process.stdout.on('error', () => process.exit(1));
// Timers of the clock keep no process alive: one that only waits, as `aquifer wait` does between two looks, would end.
setInterval(() => undefined, 2 ** 30);
try {
  await end(await main(process.argv.slice(2)));
} catch (e) {
  process.stderr.write(e instanceof UsageError ? `${e.message}\n` : `aquifer: ${describeError(e)}\n`);
  process.exit(e instanceof UsageError && !(e instanceof OperandError) ? 64 : 1);
}
