/** `"%d of %s".format([1, "a"])`. */
import { CelError } from './ast.ts';
import { isList, isMap, numeric, Uint, type Value } from './values.ts';

/** `text`: as `string()` does it. CelError. */
export function formatText(pattern: string, args: readonly Value[], text: (value: Value) => string): string {
  let used = 0;
  const made = pattern.replace(/%(?:\.(\d{1,3}))?(.?)/gs, (_, digits: string | undefined, verb: string) => {
    if (verb === '%') return '%';
    const value = args[used++];
    if (value === undefined) throw new CelError(`format has no argument for its placeholder ${used}`);
    return formatOne(verb, value, digits === undefined ? 6 : Number(digits), text);
  });
  if (used < args.length) throw new CelError('format has more arguments than placeholders');
  return made;
}

function formatOne(verb: string, value: Value, digits: number, text: (value: Value) => string): string {
  const whole = value instanceof Uint ? value.value : value;
  switch (verb) {
    case 's':
      return show(value, text);
    case 'd':
      if (typeof whole === 'bigint' || typeof whole === 'number') return text(value);
      break;
    case 'f':
    case 'e': {
      const n = numeric(value);
      if (n !== undefined)
        return verb === 'f' ? Number(n).toFixed(Math.min(digits, 100)) : exponent(Number(n), Math.min(digits, 100));
      break;
    }
    case 'b':
      if (typeof whole === 'bigint' || typeof whole === 'boolean') return BigInt(whole).toString(2);
      break;
    case 'o':
      if (typeof whole === 'bigint') return whole.toString(8);
      break;
    case 'x':
    case 'X': {
      const hex =
        typeof whole === 'bigint'
          ? whole.toString(16)
          : typeof value === 'string' || value instanceof Uint8Array
            ? Buffer.from(value as string).toString('hex')
            : undefined;
      if (hex !== undefined) return verb === 'x' ? hex : hex.toUpperCase();
      break;
    }
    default:
      throw new CelError(`format does not know %${verb}`);
  }
  throw new CelError(`%${verb} does not take this value`);
}

function exponent(value: number, digits: number): string {
  return value.toExponential(digits).replace(/e([+-])(\d)$/, 'e$10$2');
}

function show(value: Value, text: (value: Value) => string): string {
  if (isList(value)) return `[${value.map((v) => show(v, text)).join(', ')}]`;
  if (isMap(value)) {
    const entries = [...value].map(([k, v]) => `${show(k, text)}: ${show(v, text)}`).sort();
    return `{${entries.join(', ')}}`;
  }
  return text(value);
}
