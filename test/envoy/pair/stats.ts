/** Stock counters of both, by name. */

export type Counters = ReadonlyMap<string, number>;

/** Of /stats?format=json. */
export function readStats(json: string): Counters {
  const { stats } = JSON.parse(json) as {
    readonly stats: readonly { readonly name?: string; readonly value?: number }[];
  };
  return new Map(
    stats.flatMap(({ name, value }) => (name !== undefined && value !== undefined ? [[name, value] as const] : [])),
  );
}

/** What was counted between; what was not is left out. */
export function deltaOf(before: Counters, after: Counters): Counters {
  const all = [...after].map(([name, value]) => [name, value - (before.get(name) ?? 0)] as const);
  return new Map(all.filter(([, value]) => value !== 0));
}

/** Counters that have to be the same (ours does not count bytes): by what comes behind `http.NAME.` and `cluster.NAME;.`. */
const ofHttp = [
  /^downstream_cx_(total|http[12]_total|upgrades_total|destroy.*)$/,
  /^downstream_rq_(total|http[12]_total|completed|[1-5]xx|timeout|idle_timeout|too_many_premature_resets)$/,
  /^(no_route|no_cluster|rq_total|rq_redirect|rq_direct_response)$/,
  /^(rbac|fault|cors)\./,
];
const ofCluster = [
  /^upstream_rq_(total|completed|[1-5]xx|\d{3})$/,
  /^upstream_rq_(timeout|per_try_timeout|rx_reset|tx_reset|max_duration_reached|cancelled|maintenance_mode)$/,
  /^upstream_rq_(pending_overflow|pending_failure_eject|pending_total)$/,
  /^upstream_rq_retry/,
  /^upstream_cx_(total|http[12]_total|connect_fail|connect_timeout|none_healthy|overflow|max_requests|destroy.*)$/,
  /^(external|internal)\./,
  /^outlier_detection\.ejections_/,
];

export function compared(name: string): boolean {
  const [, kind, rest = ''] =
    /^(http|cluster)\.(?:inbound-vip|outbound)\|\d+\|[^|]*\|[^;]*?(?:cluster\.local;?|example;?)\.(.*)$/.exec(name) ??
    [];
  if (kind === undefined) return false;
  return (kind === 'http' ? ofHttp : ofCluster).some((pattern) => pattern.test(rest));
}
