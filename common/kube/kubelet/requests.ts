/**
 * What an API server asks of a node's kubelet, and how it stands in the request's path and query. The paths are those of Kubernetes'
 * kubelet; what an upgraded connection carries is ours (channels.ts).
 */

export interface PodRef {
  readonly namespace: string;
  readonly name: string;
  /** A pod of the same name that came later is another. */
  readonly uid: string;
}

export interface LogOptions {
  readonly follow: boolean;
  /** Of the container's run before this one. */
  readonly previous: boolean;
  readonly timestamps: boolean;
  /** Lines from the end; undefined: all. */
  readonly tail: number | undefined;
  /** Bytes at most; undefined: all. */
  readonly limit: number | undefined;
  /** Ms since the epoch; undefined: from the beginning. */
  readonly since: number | undefined;
  readonly stream: 'All' | 'Stdout' | 'Stderr';
}

export interface ProcessOptions {
  readonly stdin: boolean;
  readonly stdout: boolean;
  /** Never with `tty`, which has one output. */
  readonly stderr: boolean;
  readonly tty: boolean;
}

export type KubeletRequest =
  | { readonly kind: 'logs'; readonly pod: PodRef; readonly container: string; readonly options: LogOptions }
  | {
      readonly kind: 'exec';
      readonly pod: PodRef;
      readonly container: string;
      readonly command: readonly string[];
      readonly options: ProcessOptions;
    }
  | { readonly kind: 'attach'; readonly pod: PodRef; readonly container: string; readonly options: ProcessOptions }
  /** A connection to a port of the pod's loopback: what it gets comes by `stdin`, what it says goes by `stdout`. */
  | { readonly kind: 'dial'; readonly pod: PodRef; readonly port: number };

/** `Upgrade` token of every request but that for logs. */
export const channelsProtocol = 'aquifer-channels';

/**
 * Annotation of a Node: SHA-256 of the certificate (DER) that its kubelet serves with, in hexadecimal. Whoever may write the Node
 * speaks for the node.
 */
export const certificateAnnotation = 'aquifer.dev/kubelet-certificate';
/** DNS name in the certificate of an API server, which a kubelet asks of its client. */
export const apiServerName = 'kubernetes.default.svc';

export function requestPath(request: KubeletRequest): string {
  const { namespace, name, uid } = request.pod;
  const q = new URLSearchParams({ uid });
  const path = (...parts: string[]) => `/${parts.map(encodeURIComponent).join('/')}?${q}`;
  switch (request.kind) {
    case 'logs':
      for (const [key, value] of Object.entries(request.options)) if (value !== undefined) q.set(key, String(value));
      return path('containerLogs', namespace, name, request.container);
    case 'exec':
      for (const [key, value] of Object.entries(request.options)) q.set(key, String(value));
      for (const word of request.command) q.append('command', word);
      return path('exec', namespace, name, request.container);
    case 'attach':
      for (const [key, value] of Object.entries(request.options)) q.set(key, String(value));
      return path('attach', namespace, name, request.container);
    case 'dial':
      q.set('port', String(request.port));
      return path('portForward', namespace, name);
  }
}

/** undefined: no such request. */
export function parseRequest(url: string): KubeletRequest | undefined {
  const { pathname, searchParams: q } = new URL(url, 'https://kubelet');
  const [what, namespace, name, container, ...more] = pathname.slice(1).split('/').map(decode);
  if (namespace === undefined || name === undefined || more.length > 0) return undefined;
  const pod = { namespace, name, uid: q.get('uid') ?? '' };
  if (what === 'portForward') {
    const port = Number(q.get('port'));
    const valid = container === undefined && Number.isInteger(port) && port >= 1 && port <= 65_535;
    return valid ? { kind: 'dial', pod, port } : undefined;
  }
  if (container === undefined) return undefined;
  switch (what) {
    case 'containerLogs':
      return { kind: 'logs', pod, container, options: logOptions(q) };
    case 'exec':
      return { kind: 'exec', pod, container, command: q.getAll('command'), options: processOptions(q) };
    case 'attach':
      return { kind: 'attach', pod, container, options: processOptions(q) };
    default:
      return undefined;
  }
}

function logOptions(q: URLSearchParams): LogOptions {
  const number = (key: string) => (q.has(key) ? Number(q.get(key)) : undefined);
  const stream = q.get('stream');
  return {
    follow: q.get('follow') === 'true',
    previous: q.get('previous') === 'true',
    timestamps: q.get('timestamps') === 'true',
    tail: number('tail'),
    limit: number('limit'),
    since: number('since'),
    stream: stream === 'Stdout' || stream === 'Stderr' ? stream : 'All',
  };
}

function processOptions(q: URLSearchParams): ProcessOptions {
  const flag = (key: string) => q.get(key) === 'true';
  return { stdin: flag('stdin'), stdout: flag('stdout'), stderr: flag('stderr'), tty: flag('tty') };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
