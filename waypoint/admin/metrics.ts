/** The page for Prometheus: Envoy's statistics and Istio's metrics, made in parts between which requests are served. */
import { setImmediate as turn } from 'node:timers/promises';
import { version } from '../../common/core/version.ts';
import type { Runtime } from '../runtime/runtime.ts';

export async function* metricsPage({ stats, env: { series } }: Runtime): AsyncGenerator<string> {
  yield `${stats.prometheus()}${own(series.count, series.overflowed)}`;
  for (const page of series.pages()) {
    await turn();
    yield page;
  }
}

function own(count: number, overflowed: number): string {
  return [
    '# TYPE istio_build gauge',
    `istio_build{component="proxy",tag="${version}"} 1`,
    '# TYPE aquifer_metrics_series gauge',
    `aquifer_metrics_series ${count}`,
    '# TYPE aquifer_metrics_overflow_total counter',
    `aquifer_metrics_overflow_total ${overflowed}`,
    '',
  ].join('\n');
}
