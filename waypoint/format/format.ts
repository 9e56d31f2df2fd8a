/**
 * Envoy's command operators, `%REQ(x-name?:authority):16%`, in header values, access logs and local replies. An operator that is
 * not known here is refused when the configuration is read.
 */
import type { HostAddress, Metadata } from '../cluster/types.ts';
import type { RequestView, ResponseView } from '../request/view.ts';
import type { TlsDetails } from '../tls/details.ts';
import type { UpstreamAbout } from '../upstream/about.ts';
import type { StreamTimes } from './durations.ts';
import { readOperator } from './operators.ts';

/** What became of the request so far; absent: not known yet. */
export interface StreamFacts {
  /** Milliseconds since 1970. */
  readonly startTime: number;
  readonly requestId?: string;
  readonly virtualHost?: string;
  readonly routeName?: string;
  /** Its statName is what is told of it where the name itself is not asked for. */
  readonly cluster?: { readonly name: string; readonly statName: string };
  readonly upstreamHost?: HostAddress;
  readonly upstreamLocal?: HostAddress;
  /** Envoy's short names, comma-separated: `UF,URX`. */
  readonly responseFlags?: string;
  readonly responseCodeDetails?: string;
  readonly connectionTerminationDetails?: string;
  readonly upstreamFailureReason?: string;
  readonly attempts?: number;
  /** Milliseconds. */
  readonly duration?: number;
  /** Of bodies. */
  readonly bytesReceived?: number;
  readonly bytesSent?: number;
  readonly connectionId?: number;
  /** The body of a local reply. */
  readonly localReplyBody?: string;
  readonly times?: StreamTimes;
  /** With heads, as HTTP/1.1 writes them. */
  readonly wireReceived?: number;
  readonly wireSent?: number;
  readonly upstreamWireReceived?: number;
  readonly upstreamWireSent?: number;
  /** Of heads alone, as HTTP/1.1 writes them. */
  readonly heads?: Heads;
  /** Of the process' environment. */
  readonly variable?: (name: string) => string | undefined;
  /** What is told; absent: a connection, by its listener. */
  readonly logType?: 'DownstreamEnd' | 'TcpConnectionEnd';
  /** The filter chain's name. */
  readonly chain?: string;
  readonly upstreamProtocol?: 'HTTP/1.1' | 'HTTP/2';
  readonly upstreamTls?: TlsDetails;
  /** Of the host; absent: it has none. */
  readonly upstreamHostname?: string;
  /** Hosts that were tried, in their order. */
  readonly tried?: readonly TriedHost[];
  /** Connections to hosts that the tries had, in their order. */
  readonly upstreamConnections?: readonly UpstreamAbout['id'][];
  /** Of the cluster and of the host that the request went to. */
  readonly clusterMetadata?: Metadata;
  readonly hostMetadata?: Metadata;
  /** In hex digits; empty: there is none. */
  readonly trace?: { readonly traceId: string; readonly spanId: string };
  /** Metadata of the matched route. */
  readonly routeMetadata?: Readonly<Record<string, unknown>>;
}

/** In bytes. */
export interface Heads {
  readonly received: number;
  readonly sent: number;
  readonly upstreamReceived: number;
  readonly upstreamSent: number;
}

export interface TriedHost {
  readonly address: HostAddress;
  /** Empty: none. */
  readonly hostname: string;
}

export interface FormatContext {
  readonly request: RequestView;
  readonly response?: ResponseView;
  readonly trailers?: ResponseView['headers'];
  readonly facts: StreamFacts;
}

/** undefined: there is no such value. */
export interface Operator {
  (context: FormatContext): string | undefined;
  /** In JSON, where it stands alone and is no text. */
  readonly json?: (context: FormatContext) => unknown;
}

export interface Format {
  /** The text as configured. */
  readonly text: string;
  /** `missing` stands for values that are not there: empty in headers, `-` in logs. */
  render(context: FormatContext, missing: string): string;
  /** The value where nothing of it changes with the request. */
  readonly constant?: string;
  /** For JSON, where one operator is all: undefined where there is no value. */
  readonly alone?: (context: FormatContext) => unknown;
}

/** Throws Error with what is wrong with the text. */
export function compileFormat(text: string): Format {
  const parts: (string | Operator)[] = [];
  let literal = '';
  for (let at = 0; at < text.length; ) {
    if (text[at] !== '%') {
      literal += text[at];
      at++;
    } else if (text[at + 1] === '%') {
      literal += '%';
      at += 2;
    } else {
      const found = /^%([A-Z0-9_]+)(?:\((.*?)\))?(?::(\d+))?%/s.exec(text.slice(at));
      if (!found) throw new Error(`${JSON.stringify(text)}: a % at ${at} begins no operator; %% is a percent sign`);
      if (literal !== '') parts.push(literal);
      literal = '';
      const [whole, name = '', args, length] = found;
      parts.push(cut(readOperator(name, args), length === undefined ? undefined : Number(length)));
      at += whole.length;
    }
  }
  if (literal !== '') parts.push(literal);
  if (parts.every((part) => typeof part === 'string')) {
    const constant = parts.join('');
    return { text, constant, render: () => constant };
  }
  const [only] = parts;
  const render = (context: FormatContext, missing: string) => {
    let out = '';
    for (const part of parts) out += typeof part === 'string' ? part : (part(context) ?? missing);
    return out;
  };
  return { text, render, ...(parts.length === 1 && typeof only === 'function' && { alone: only.json ?? only }) };
}

function cut(operator: Operator, length: number | undefined): Operator {
  return length === undefined ? operator : (context) => operator(context)?.slice(0, length);
}
