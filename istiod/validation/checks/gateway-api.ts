/** Kinds of the Gateway API: what their schemas cannot say. */
import type { GrpcRoute } from '../../../common/kube/kinds/gateway-api/grpc-route.ts';
import type { HttpRoute } from '../../../common/kube/kinds/gateway-api/http-route.ts';
import type { Field } from '../finding.ts';
import { checkRegex } from './values.ts';

export function checkHttpRouteKind({ spec }: HttpRoute, root: Field): void {
  root.at('spec').each('rules', spec.rules, (rule, at) => {
    at.each('matches', rule.matches, ({ path, headers, queryParams }, m) => {
      if (path?.type === 'RegularExpression') checkRegex(path.value ?? '', m.at('path', 'value'));
      checkMatches(headers, 'headers', m);
      checkMatches(queryParams, 'queryParams', m);
    });
    checkWeights(rule.backendRefs, at);
  });
}

export function checkGrpcRouteKind({ spec }: GrpcRoute, root: Field): void {
  root.at('spec').each('rules', spec.rules, (rule, at) => {
    at.each('matches', rule.matches, ({ method, headers }, m) => {
      if (method?.type === 'RegularExpression') {
        for (const name of ['service', 'method'] as const) {
          const pattern = method[name];
          if (pattern !== undefined) checkRegex(pattern, m.at('method', name));
        }
      }
      checkMatches(headers, 'headers', m);
    });
    checkWeights(rule.backendRefs, at);
  });
}

function checkMatches(
  matches: readonly { readonly type?: string; readonly value: string }[] | undefined,
  name: string,
  field: Field,
): void {
  field.each(name, matches, ({ type, value }, at) => {
    if (type === 'RegularExpression') checkRegex(value, at.at('value'));
  });
}

function checkWeights(backends: readonly { readonly weight?: number }[] | undefined, field: Field): void {
  if (backends === undefined || backends.length === 0) return;
  if (backends.every(({ weight = 1 }) => weight === 0))
    field
      .at('backendRefs')
      .warn('the weights add up to 0, so every request is answered with 500', 'give one of them a weight');
}
