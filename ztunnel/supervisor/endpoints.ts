/** What the admin, metrics and readiness servers answer. */
import type { Answer, Routes } from '../../common/http/small-server.ts';

export interface EndpointSources {
  /** What the proxy waits for; empty: ready. */
  readonly pending: () => readonly string[];
  readonly metrics: () => Promise<{ readonly body: string; readonly type: string }>;
  readonly logLevels: () => string;
  /** Throws on a level that does not exist; undefined resets. */
  readonly setLogLevels: (directives: string | undefined) => void;
  readonly configDump: () => Promise<object>;
  /** pprof's format. */
  readonly cpuProfile: (seconds: number, frequency: number) => Promise<Buffer>;
  /** The same; undefined while allocations are not sampled. */
  readonly heapProfile: () => Promise<Buffer | undefined>;
  /** Switches the sampling of allocations, undefined leaves it; whether it is on now. */
  readonly heapSampling: (active: boolean | undefined) => Promise<boolean>;
  /** Takes no new connection and lets open ones end; the process stays. */
  readonly drain: () => void;
  readonly quit: () => void;
}

export function readinessRoutes(sources: EndpointSources): Routes {
  return { 'GET /healthz/ready': () => readiness(sources.pending()) };
}

/** Istio's words (ambient-wire 7.4). */
export function readiness(pending: readonly string[]): Answer {
  if (pending.length === 0) return { status: 200, body: 'ready\n' };
  return { status: 500, body: `not ready, pending: ${pending.join(', ')}\n` };
}

export function metricsRoutes(sources: EndpointSources): Routes {
  const handler = async (): Promise<Answer> => ({ status: 200, ...(await sources.metrics()) });
  return { 'GET /metrics': handler, 'GET /stats/prometheus': handler };
}

/** Istio's paths (ambient-wire 7.3), and `/drain`, which it does not have. */
export function adminRoutes(sources: EndpointSources): Routes {
  return {
    'GET /': () => ({ status: 200, type: 'text/html; charset=utf-8', body: index }),
    'GET /config_dump': async () => {
      const dump = await sources.configDump();
      return { status: 200, type: 'application/json', body: `${JSON.stringify(dump, undefined, 2)}\n` };
    },
    'GET /logging': () => currentLevels(sources),
    'POST /logging': (url) => setLogging(url, sources),
    'GET /debug/pprof/profile': (url) => cpuProfile(url, sources),
    'GET /debug/pprof/heap': async () => {
      const body = await sources.heapProfile();
      if (body) return { status: 200, type: pprof, body };
      return { status: 500, body: 'heap profiling is not active; POST /debug/pprof/heap/profiling?activate=true\n' };
    },
    'GET /debug/pprof/heap/profiling': (url) => heapSampling(url, sources),
    'POST /debug/pprof/heap/profiling': (url) => heapSampling(url, sources),
    'POST /drain': () => {
      sources.drain();
      return { status: 200, body: 'draining\n' };
    },
    'POST /quitquitquit': () => {
      sources.quit();
      return { status: 200, body: 'shutdown now\n' };
    },
  };
}

const pprof = 'application/octet-stream';

function currentLevels(sources: EndpointSources): Answer {
  return { status: 200, body: `current log level is ${sources.logLevels()}\n` };
}

function setLogging(url: URL, sources: EndpointSources): Answer {
  if (url.searchParams.has('reset')) sources.setLogLevels(undefined);
  const level = url.searchParams.get('level');
  if (level !== null) {
    try {
      sources.setLogLevels(level);
    } catch (e) {
      return { status: 400, body: `${(e as Error).message}\n` };
    }
  }
  return currentLevels(sources);
}

async function cpuProfile({ searchParams }: URL, sources: EndpointSources): Promise<Answer> {
  const seconds = within(searchParams.get('seconds') ?? '10', 300);
  const frequency = within(searchParams.get('frequency') ?? '100', 1000);
  if (seconds === undefined) return { status: 400, body: 'invalid seconds value; expected 1-300\n' };
  if (frequency === undefined) return { status: 400, body: 'invalid frequency value; expected 1-1000\n' };
  return { status: 200, type: pprof, body: await sources.cpuProfile(seconds, frequency) };
}

/** A whole number from 1. */
function within(text: string, most: number): number | undefined {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  return value >= 1 && value <= most ? value : undefined;
}

async function heapSampling({ searchParams }: URL, sources: EndpointSources): Promise<Answer> {
  const activate = searchParams.get('activate');
  if (activate !== null && activate !== 'true' && activate !== 'false') {
    return { status: 400, body: `invalid activate value ${JSON.stringify(activate)}; expected true or false\n` };
  }
  const active = await sources.heapSampling(activate === null ? undefined : activate === 'true');
  return { status: 200, body: `heap profiling active: ${active}\n` };
}

const paths: readonly (readonly [path: string, what: string])[] = [
  ['GET /config_dump', 'what the proxy knows of the mesh, its certificates, pods and connections'],
  ['GET /logging', 'log levels'],
  ['POST /logging?level=LEVEL, ?level=TARGET=LEVEL,... or ?reset', 'change them'],
  ['GET /debug/pprof/profile?seconds=1-300&frequency=1-1000', 'CPU profile of the workers, for pprof'],
  ['GET /debug/pprof/heap', 'their allocations that are in use, for pprof'],
  ['POST /debug/pprof/heap/profiling?activate=true|false', 'begin or end sampling allocations'],
  ['POST /drain', 'take no new connection, let open ones end, stay'],
  ['POST /quitquitquit', 'drain and exit'],
];

const index = `<!doctype html>
<title>Aquifer ztunnel</title>
<h1>Aquifer ztunnel</h1>
<ul>
${paths.map(([path, what]) => `<li>${path}: ${what}</li>`).join('\n')}
</ul>
`;
