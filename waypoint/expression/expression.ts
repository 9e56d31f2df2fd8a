/** CEL expressions over Envoy's attributes of a request or connection: tags of metrics, filters of access logs. */
import { CelCostError, CelError, type Node } from '../../common/cel/ast.ts';
import { parseCel } from '../../common/cel/parser.ts';
import { Budget, runCel } from '../../common/cel/run.ts';
import { textOf } from '../../common/cel/standard.ts';
import type { Value } from '../../common/cel/values.ts';
import type { FormatContext } from '../format/format.ts';
import { attributes } from './attributes.ts';

/** Steps that one evaluation may take. */
const budget = 10_000;
/** Characters of an expression. */
const longest = 4_096;

/** undefined: it failed, mostly since something that it asks for is not there. */
export type Expression = (context: FormatContext) => Value | undefined;

/** Throws Error with what is wrong with the text. */
export function compileExpression(text: string): Expression {
  if (text.length > longest) throw new Error(`the expression is longer than ${longest} characters`);
  const node = parse(text);
  // What is no attribute is not there when it is asked for, as in Envoy.
  const names = [...namesIn(node)].filter((name) => Object.hasOwn(attributes, name));
  return (context) => {
    try {
      const variables = Object.fromEntries(names.map((name) => [name, attributes[name]!(context)]));
      return runCel(node, variables, new Budget(budget));
    } catch (e) {
      if (e instanceof CelError || e instanceof CelCostError) return undefined;
      throw e;
    }
  };
}

/** As Envoy prints values in labels; undefined: it failed. */
export function compileText(text: string): (context: FormatContext) => string | undefined {
  const expression = compileExpression(text);
  return (context) => {
    const value = expression(context);
    return value === undefined || value === null ? undefined : textOf(value);
  };
}

function parse(text: string): Node {
  try {
    return parseCel(text);
  } catch (e) {
    if (e instanceof CelError) throw new Error(`${JSON.stringify(text)}: ${e.message}`);
    throw e;
  }
}

/** All of them, also those that macros bind: they are none of ours. */
function namesIn(node: unknown, into = new Set<string>()): Set<string> {
  if (typeof node !== 'object' || node === null) return into;
  const { kind, name } = node as { readonly kind?: string; readonly name?: string };
  if (kind === 'name' && name !== undefined) into.add(name);
  for (const value of Object.values(node)) namesIn(value, into);
  return into;
}
