/** Requests for tests. */
import { Headers } from '../request/headers.ts';
import type { ConnectionView, RequestView } from '../request/view.ts';

export const connection: ConnectionView = {
  remote: { address: '10.0.0.9', port: 40_000 },
  source: { address: '10.0.0.9', port: 40_000 },
  directRemote: { address: '10.0.0.9', port: 40_000 },
  local: { address: '10.0.0.1', port: 80 },
  tls: false,
  filterState: new Map(),
};

export interface ViewParts {
  readonly method?: string;
  readonly scheme?: string;
  readonly authority?: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly connection?: Partial<ConnectionView>;
  readonly metadata?: RequestView['metadata'];
}

/** GET http://a.example/ over HTTP/1.1 where `parts` say nothing else. */
export function view(parts: ViewParts = {}): RequestView {
  return {
    method: parts.method ?? 'GET',
    scheme: parts.scheme ?? 'http',
    authority: parts.authority ?? 'a.example',
    path: parts.path ?? '/',
    headers: Headers.of(Object.entries(parts.headers ?? {})),
    protocol: 'http1',
    connection: { ...connection, ...parts.connection },
    metadata: parts.metadata ?? new Map(),
  };
}
