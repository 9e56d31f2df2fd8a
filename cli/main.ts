/** `bin/aquifer`. Errors are messages without stacks; exit code 1, or 2 for arguments that are not understood. */
import { describeError } from '../common/core/errors.ts';
import { runLab } from './lab.ts';
import { parseLabArgs } from './lab-args.ts';
import { parseWaitArgs, runWait, waitHelp } from './wait.ts';

const help = `aquifer: a service mesh without sidecars

  aquifer lab ...    a cluster of network namespaces on this machine; see aquifer lab --help
  aquifer wait ...   wait until node proxies have confirmed an object; see aquifer wait --help
`;

async function main(args: readonly string[]): Promise<number> {
  const [group, ...rest] = args;
  if (group === undefined || group === 'help' || group === '--help' || group === '-h') {
    process.stdout.write(help);
    return group === undefined ? 2 : 0;
  }
  if (group === 'wait') return wait(rest);
  if (group !== 'lab') return usage(`aquifer ${group}: there is no such command; see aquifer --help`);
  const parsed = parseLabArgs(rest);
  if (!parsed.ok) return usage(`${parsed.message}; see aquifer lab --help`);
  return runLab(parsed.command);
}

async function wait(args: readonly string[]): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(waitHelp);
    return 0;
  }
  const parsed = parseWaitArgs(args);
  return typeof parsed === 'string' ? usage(`${parsed}; see aquifer wait --help`) : runWait(parsed, process.env);
}

function usage(message: string): number {
  process.stderr.write(`${message}\n`);
  return 2;
}

/** Connections to a lab may still be open, so the process is ended; but not before a pipe has taken all that was written. */
async function end(code: number): Promise<never> {
  await new Promise((resolve) => process.stdout.write('', resolve));
  process.exit(code);
}

// The reader of a pipe went away (`| head`): nobody is left to tell.
process.stdout.on('error', () => process.exit(1));
try {
  await end(await main(process.argv.slice(2)));
} catch (e) {
  process.stderr.write(`aquifer: ${describeError(e)}\n`);
  process.exit(1);
}
