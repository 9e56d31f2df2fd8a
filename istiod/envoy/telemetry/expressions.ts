/** Expressions of Telemetry: one that cannot be read must not keep proxies from everything else. */
import { CelError } from '../../../common/cel/ast.ts';
import { parseCel } from '../../../common/cel/parser.ts';
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';

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

/** By field. */
export function expressionMistakes({ spec }: Telemetry): readonly string[] {
  const tags = (spec?.metrics ?? []).flatMap(({ overrides }, i) =>
    (overrides ?? []).flatMap(({ tagOverrides }, j) =>
      Object.entries(tagOverrides ?? {}).map(
        ([tag, { value }]) => [`metrics[${i}].overrides[${j}].tagOverrides.${tag}.value`, value] as const,
      ),
    ),
  );
  const filters = (spec?.accessLogging ?? []).map(
    ({ filter }, i) => [`accessLogging[${i}].filter.expression`, filter?.expression] as const,
  );
  return [...tags, ...filters].flatMap(([path, text]) => {
    const mistake = text === undefined || text === '' ? undefined : mistakeIn(text);
    return mistake === undefined ? [] : [`${path} is no expression and left out: ${mistake}`];
  });
}
