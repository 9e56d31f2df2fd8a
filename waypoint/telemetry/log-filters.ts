/** Which requests an access log tells of: envoy.config.accesslog.v3.AccessLogFilter. */
import type { Fields } from '../../common/envoy/fields.ts';
import { compileExpression } from '../expression/expression.ts';
import type { FormatContext } from '../format/format.ts';

export type LogFilter = (context: FormatContext) => boolean;

/** All without one. */
export function readLogFilter(log: Fields): LogFilter {
  return log.read('filter', readFilter) ?? all;
}

const all: LogFilter = () => true;

function readFilter(filter: Fields): LogFilter {
  const status = filter.message('status_code_filter');
  if (status) return readComparison(status, ({ response }) => response?.status ?? 0);
  const duration = filter.message('duration_filter');
  if (duration) return readComparison(duration, ({ facts }) => facts.duration ?? 0);
  const flags = filter.message('response_flag_filter');
  if (flags) {
    const wanted = new Set(flags.texts('flags'));
    return ({ facts }) => {
      const there = (facts.responseFlags ?? '').split(',').filter((flag) => flag !== '' && flag !== '-');
      return wanted.size === 0 ? there.length > 0 : there.some((flag) => wanted.has(flag));
    };
  }
  const both = filter.message('and_filter');
  if (both) {
    const filters = both.readAll('filters', readFilter);
    return (context) => filters.every((one) => one(context));
  }
  const either = filter.message('or_filter');
  if (either) {
    const filters = either.readAll('filters', readFilter);
    return (context) => filters.some((one) => one(context));
  }
  const expression = filter.message('extension_filter');
  if (expression) return readExpression(expression);
  // No request is a health check here.
  if (filter.message('not_health_check_filter')) return all;
  filter.mistake(
    'filter_specifier',
    'is not supported: status_code_filter, duration_filter, response_flag_filter, and_filter, or_filter and CEL by extension_filter are',
  );
  return all;
}

const comparisons = {
  EQ: (a: number, b: number) => a === b,
  GE: (a: number, b: number) => a >= b,
  LE: (a: number, b: number) => a <= b,
  NE: (a: number, b: number) => a !== b,
};

function readComparison(owner: Fields, of: (context: FormatContext) => number): LogFilter {
  const comparison = owner.message('comparison');
  if (!comparison) {
    owner.mistake('comparison', 'is missing');
    return all;
  }
  const op = comparison.choice('op', 'EQ', comparisons);
  const value = comparison.message('value');
  // There is no runtime layer that could change it.
  value?.harmless('runtime_key');
  const wanted = value?.number('default_value') ?? 0;
  return (context) => op?.(of(context), wanted) ?? true;
}

/** envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter; one that fails says no, as Envoy's. */
function readExpression(extension: Fields): LogFilter {
  extension.harmless('name');
  const config = extension.message('typed_config');
  if (!config?.type.endsWith('/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter')) {
    extension.mistake('typed_config', `filter ${config?.type ?? 'without a type'} is not supported`);
    return all;
  }
  try {
    const expression = compileExpression(config.text('expression'));
    return (context) => expression(context) === true;
  } catch (e) {
    config.mistake('expression', (e as Error).message);
    return all;
  }
}
