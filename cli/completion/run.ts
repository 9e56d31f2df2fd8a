/** `aquifer completion SHELL`. */
import { noOperands, oneOf, readArguments } from '../arguments.ts';
import { scripts, shells } from './scripts.ts';

export async function printScript(name: string, args: readonly string[]): Promise<number> {
  const { positionals } = readArguments(`completion ${name}`, args, {});
  noOperands(`completion ${name}`, positionals);
  process.stdout.write(scripts[oneOf('completion', name, ...shells)]);
  return 0;
}
