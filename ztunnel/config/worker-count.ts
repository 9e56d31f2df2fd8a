/**
 * Istio's settings of threads (ambient-wire 6.7), which become worker processes here. A worker is some 100 MB, so nothing is
 * taken from the number of CPUs unless asked for: without any of these one worker runs.
 */
import type { SettingsReader } from '../../common/config/reader.ts';

/** Workers that one proxy may have. */
export const maxWorkers = 64;

/**
 * AQUIFER_WORKERS, else ZTUNNEL_WORKER_THREADS (`n`, `n%` of the CPUs, 0 for all), else ProxyConfig's concurrency (0 for all),
 * else 1; at most 64. CPUs are ZTUNNEL_RESOURCE_CPU_LIMIT, else ZTUNNEL_CPU_LIMIT, else the machine's. Of
 * ZTUNNEL_RESOURCE_CPU_REQUEST, which raises Istio's default, only the form is checked.
 */
export function workerCount(r: SettingsReader, machineCpus: number, concurrency: number | undefined): number {
  const limit = r.parsed('ZTUNNEL_RESOURCE_CPU_LIMIT', parseCpus, cpuForm);
  const cpuLimit = r.parsed('ZTUNNEL_CPU_LIMIT', parseCpus, cpuForm);
  r.parsed('ZTUNNEL_RESOURCE_CPU_REQUEST', parseCpus, cpuForm);
  const cpus = limit ?? cpuLimit ?? machineCpus;
  const threads = r.parsed(
    'ZTUNNEL_WORKER_THREADS',
    (text) => parseThreads(text, cpus),
    'a whole number, or a percentage of the CPUs above 0% and up to 100%',
  );
  const ofConfig = concurrency === 0 ? cpus : concurrency;
  const own = r.integer('AQUIFER_WORKERS', 1, maxWorkers);
  return own ?? Math.min(threads ?? ofConfig ?? 1, maxWorkers);
}

const cpuForm = 'CPUs such as 2, 1.5 or 500m';

/** Kubernetes' quantity of CPUs in whole ones, rounded up. */
function parseCpus(text: string): number | undefined {
  const m = /^(\d{1,6}(?:\.\d{1,6})?)(m?)$/.exec(text);
  const cpus = m ? Math.ceil(Number(m[1]) / (m[2] === 'm' ? 1000 : 1)) : 0;
  return cpus > 0 ? cpus : undefined;
}

function parseThreads(text: string, cpus: number): number | undefined {
  if (/^\d{1,6}$/.test(text)) return Number(text) || cpus;
  const m = /^(\d{1,3}(?:\.\d{1,6})?)%$/.exec(text);
  const percent = m ? Number(m[1]) : 0;
  return percent > 0 && percent <= 100 ? Math.max(1, Math.ceil((cpus * percent) / 100)) : undefined;
}
