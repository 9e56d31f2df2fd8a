/** Arguments of a command: options by node:util, and what is wrong with them in words. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { describeError } from '../common/core/errors.ts';

/** The arguments are not understood; exit code 2. */
export class UsageError extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;

/** Options and what is beside them. UsageError. */
export function readArguments<const T extends Options>(command: string, args: readonly string[], options: T) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (e) {
    const [said] = describeError(e).split('. ');
    throw new UsageError(`aquifer ${command}: ${said}; see aquifer ${command} --help`);
  }
}

/** UsageError where the value is none of those. */
export function oneOf<const T extends readonly string[]>(option: string, value: string, ...allowed: T): T[number] {
  const found = allowed.find((a) => a.toLowerCase() === value.toLowerCase());
  if (found === undefined) throw new UsageError(`${option}: ${JSON.stringify(value)}: expected ${allowed.join(', ')}`);
  return found;
}
