/** Queries over the traffic that node proxies count (ambient-wire 7.1). Each end counts it, so one of them is asked. */
import { chart, type Panel, type Query } from './model.ts';

export type Side = 'source' | 'destination';

/** A selector of the series that one side reports. */
export function reported(reporter: Side, ...matchers: readonly string[]): string {
  return ['{reporter="', reporter, '"', ...matchers.map((m) => `, ${m}`), '}'].join('');
}

function perSecond(metric: string, selector: string, by: string): string {
  const grouped = by === '' ? 'sum' : `sum by (${by})`;
  return `${grouped} (rate(istio_tcp_${metric}_total${selector}[$__rate_interval]))`;
}

export function opened(selector: string, by = ''): string {
  return perSecond('connections_opened', selector, by);
}

export function failed(selector: string, by = ''): string {
  return perSecond('connections_failed', selector, by);
}

export function bytes(what: 'received' | 'sent', selector: string, by = ''): string {
  return perSecond(`${what}_bytes`, selector, by);
}

/** Connections, refusals and bytes, for each value of `by`. */
export function trafficPanels(selector: string, by: string, legend: string): readonly Panel[] {
  const one = (expr: string, more: Partial<Query> = {}): Query => ({ expr, legend, ...more });
  return [
    chart('Connections opened', 'ops', one(opened(selector, by))),
    chart('Connections refused or failed', 'ops', {
      expr: failed(selector, `${by}, response_flags`),
      legend: `${legend} {{response_flags}}`,
      rare: true,
    }),
    chart('Bytes from client to server', 'Bps', one(bytes('received', selector, by))),
    chart('Bytes from server to client', 'Bps', one(bytes('sent', selector, by))),
  ];
}
