/** What the admin, metrics and readiness servers answer. */
import type { Answer, Routes } from './http.ts';

export interface EndpointSources {
  /** What the proxy waits for; empty: ready. */
  readonly pending: () => readonly string[];
  readonly metrics: () => Promise<{ readonly body: string; readonly type: string }>;
  readonly logLevels: () => string;
  /** Throws on a level that does not exist; undefined resets. */
  readonly setLogLevels: (directives: string | undefined) => void;
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

export function adminRoutes(sources: EndpointSources): Routes {
  return {
    'GET /': () => ({ status: 200, type: 'text/html; charset=utf-8', body: index }),
    'GET /config_dump': () => ({ status: 404, body: 'config_dump comes with the next release\n' }),
    'GET /logging': () => ({ status: 200, body: `current log level is ${sources.logLevels()}\n` }),
    'POST /logging': (url) => setLogging(url, sources),
    'POST /quitquitquit': () => {
      sources.quit();
      return { status: 200, body: 'shutdown now\n' };
    },
  };
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
  return { status: 200, body: `current log level is ${sources.logLevels()}\n` };
}

const index = `<!doctype html>
<title>Aquifer ztunnel</title>
<h1>Aquifer ztunnel</h1>
<ul>
<li>GET /logging: log levels</li>
<li>POST /logging?level=LEVEL, ?level=TARGET=LEVEL,... or ?reset: change them</li>
<li>POST /quitquitquit: drain and exit</li>
</ul>
`;
