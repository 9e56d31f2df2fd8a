/** Expressions of Telemetry: one that cannot be read must not keep proxies from everything else. */
import { CelError } from '../../../common/cel/ast.ts';
import { parseCel } from '../../../common/cel/parser.ts';

/** What is wrong with it; undefined: nothing. */
export function mistakeIn(expression: string): string | undefined {
  try {
    parseCel(expression);
    return undefined;
  } catch (e) {
    if (e instanceof CelError) return e.message;
    throw e;
  }
}
