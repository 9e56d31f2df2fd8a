/** Flags of `istiod quota`. */
import { readCommandLine } from '../../common/config/command-line.ts';
import { type ListenAddress, parseListenAddress } from '../../common/config/listen-address.ts';
import { type ConfigResult, type Settings, SettingsReader } from '../../common/config/reader.ts';

export interface QuotaConfig {
  readonly dataDir: string;
  readonly listen: ListenAddress;
  /** /metrics and /ready. */
  readonly monitoring: ListenAddress;
  /** Counted one by one. */
  readonly keys: number;
}

export const quotaHelp = `istiod quota: counts requests for rate limits and quotas of the whole mesh (envoy.service.ratelimit.v3)

Each descriptor brings its limit: the entry quota with REQUESTS/UNIT (100/DAY), or the limit of RLS v3. Units are SECOND,
MINUTE, HOUR, DAY, MONTH and YEAR, by the calendar in UTC. From HOUR on a count is on the disk before the answer goes.

Flags
  --data-dir DIR         keeps the counts; one process at a time; default ./aquifer-quota
  --listen ADDR:PORT     gRPC in plain text, default 127.0.0.1:8081: in a pod of the mesh its ztunnel adds TLS
  --monitoringAddr ADDR  /metrics and /ready, default 127.0.0.1:15014
  --keys NUMBER          keys that are counted one by one, default 100000; further ones share one count a limit
Environment
  RUST_LOG, LOG_FORMAT   level (info) and format (plain or json) of the log`;

export const quotaFlags = ['--data-dir', '--listen', '--monitoringAddr', '--keys'] as const;

const address = 'ADDRESS:PORT';

/** `args` without the command. */
export function parseQuotaConfig(args: readonly string[], env: Settings): ConfigResult<QuotaConfig> {
  const { flags, words, errors } = readCommandLine(args, quotaFlags);
  const r = new SettingsReader({ ...env, ...flags });
  for (const error of errors) r.mistake(error);
  for (const extra of words) r.mistake(`unexpected argument ${JSON.stringify(extra)}`);
  const keys = r.parsed('--keys', parseKeys, 'a whole number from 1 to 10000000');
  return r.finish<QuotaConfig>({
    dataDir: r.text('--data-dir') ?? 'aquifer-quota',
    listen: r.parsed('--listen', parseListenAddress, address) ?? parseListenAddress('127.0.0.1:8081')!,
    monitoring: r.parsed('--monitoringAddr', parseListenAddress, address) ?? parseListenAddress('127.0.0.1:15014')!,
    keys: keys ?? 100_000,
  });
}

function parseKeys(text: string): number | undefined {
  const keys = /^[1-9]\d{0,7}$/.test(text) ? Number(text) : 0;
  return keys >= 1 && keys <= 10_000_000 ? keys : undefined;
}
