/** `bin/aquifer`. Errors are messages without stacks; exit code 1, or 2 for arguments that are not understood. */
import { describeError } from '../common/core/errors.ts';
import { UsageError } from './arguments.ts';
import { commands, overview } from './commands.ts';

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    process.stdout.write(overview);
    return name === undefined ? 2 : 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw new UsageError(`aquifer ${name}: there is no such command; see aquifer --help`);
  const { run, help } = await command.load();
  // What follows -- is somebody else's.
  const own = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  if (own.includes('--help') || own.includes('-h')) {
    process.stdout.write(help);
    return 0;
  }
  return run(rest);
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
  process.exit(e instanceof UsageError ? 2 : 1);
}
