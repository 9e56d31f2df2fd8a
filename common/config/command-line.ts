/** Flags with values, and words, of a program's arguments. */
import { parseArgs } from 'node:util';

export interface CommandLine<Flag extends string> {
  /** Undefined where it is not given; of several the last. */
  readonly flags: Readonly<Record<Flag, string | undefined>>;
  readonly words: readonly string[];
  readonly errors: readonly string[];
}

/** `known` are the flags with their dashes; each takes a value, as `--flag VALUE` or `--flag=VALUE`. */
export function readCommandLine<Flag extends `--${string}`>(
  args: readonly string[],
  known: readonly Flag[],
): CommandLine<Flag> {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(known.map((flag) => [flag.slice(2), { type: 'string' } as const])),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const flags = Object.fromEntries(known.map((flag) => [flag, undefined])) as Record<Flag, string | undefined>;
  const words: string[] = [];
  const errors: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = known.find((f) => f === token.rawName);
    if (flag === undefined) errors.push(`${token.rawName} is not a flag; there are ${known.join(', ')}`);
    else if (token.value === undefined) errors.push(`${flag} needs a value`);
    else flags[flag] = token.value;
  }
  return { flags, words, errors };
}
