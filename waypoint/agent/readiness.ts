/** Whether an Envoy serves what istiod said. Pure. */

/** Statistics that tell. */
export const readinessStats =
  '^(server\\.state|listener_manager\\.workers_started|(cluster_manager\\.cds|listener_manager\\.lds)\\.update_success)$';

export interface ReadinessFacts {
  readonly hasCertificate: boolean;
  /** undefined while Envoy's admin server does not answer. */
  readonly stats: ReadonlyMap<string, number> | undefined;
  /** Why istiod is not reached; counts until its first answer. */
  readonly xdsFailure: string | undefined;
  readonly isDraining: boolean;
}

/** What it waits for; empty: ready. Once it has a configuration, an istiod that is away changes nothing. */
export function pending({ hasCertificate, stats, xdsFailure, isDraining }: ReadinessFacts): readonly string[] {
  if (isDraining) return ['it ends'];
  if (stats === undefined) return ['Envoy to answer'];
  const waits: string[] = [];
  if (!hasCertificate) waits.push('a certificate');
  const missing = ['cluster_manager.cds.update_success', 'listener_manager.lds.update_success'].filter(
    (name) => !stats.get(name),
  );
  if (missing.length > 0) waits.push(`configuration from istiod${xdsFailure === undefined ? '' : ` (${xdsFailure})`}`);
  // LIVE is 0.
  if (stats.get('server.state') !== 0 || stats.get('listener_manager.workers_started') !== 1) {
    waits.push('Envoy to start its workers');
  }
  return waits;
}
