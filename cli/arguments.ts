/** Arguments of a command: options by node:util, and what is wrong with them in words. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { describeError } from '../common/core/errors.ts';
import { absentOptions } from './absent.ts';

/** The arguments are not understood; exit code 64, as istioctl's. */
export class UsageError extends Error {}

/** Options are understood, but what is needed beside them is missing, or too much: exit code 1, as istioctl's. */
export class OperandError extends UsageError {}

type Options = NonNullable<ParseArgsConfig['options']>;

/** Options and what is beside them. `--flag=false` takes a flag back, as Go's programs have it. UsageError. */
export function readArguments<const T extends Options>(command: string, args: readonly string[], options: T) {
  try {
    const spelt = args.map((arg) => withoutValue(arg, options));
    return parseArgs({ args: spelt, options, allowPositionals: true, strict: true, allowNegative: true });
  } catch (e) {
    const [said] = describeError(e).split('. ');
    const [, name = ''] = /^Unknown option '--(?:no-)?([\w-]+)/.exec(said ?? '') ?? [];
    const reason = absentOptions[name];
    if (reason !== undefined) throw new UsageError(`aquifer ${command}: --${name} is not an option here; ${reason}`);
    throw new UsageError(`aquifer ${command}: ${said}; see aquifer ${command} --help`);
  }
}

function withoutValue(arg: string, options: Options): string {
  const [, name = '', value] = /^--([^=]+)=(true|false)$/.exec(arg) ?? [];
  if (options[name]?.type !== 'boolean') return arg;
  return value === 'true' ? `--${name}` : `--no-${name}`;
}

/** UsageError where the value is none of those. */
export function oneOf<const T extends readonly string[]>(option: string, value: string, ...allowed: T): T[number] {
  const found = allowed.find((a) => a.toLowerCase() === value.toLowerCase());
  if (found === undefined) throw new UsageError(`${option}: ${JSON.stringify(value)}: expected ${allowed.join(', ')}`);
  return found;
}

/** The one word beside the options. OperandError. */
export function oneOperand(command: string, what: string, operands: readonly string[]): string {
  const [first, ...more] = operands;
  if (first !== undefined && more.length === 0) return first;
  throw new OperandError(`aquifer ${command}: expected ${what}; see aquifer ${command} --help`);
}

/** Where nothing may stand beside the options. OperandError. */
export function noOperands(command: string, [first]: readonly string[]): void {
  if (first !== undefined)
    throw new OperandError(
      `aquifer ${command}: ${JSON.stringify(first)} is not understood; see aquifer ${command} --help`,
    );
}
