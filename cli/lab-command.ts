/** `aquifer lab`. */
import { UsageError } from './arguments.ts';
import { runLab } from './lab.ts';
import { labHelp, parseLabArgs } from './lab-args.ts';

export const help = labHelp;

export async function run(args: readonly string[]): Promise<number> {
  const parsed = parseLabArgs(args);
  if (!parsed.ok) throw new UsageError(`${parsed.message}; see aquifer lab --help`);
  return runLab(parsed.command);
}
