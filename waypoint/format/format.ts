/**
 * Envoy's command operators, `%REQ(x-name?:authority):16%`, in header values, access logs and local replies. An operator that is
 * not known here is refused when the configuration is read.
 */
import type { HostAddress, Metadata } from '../cluster/types.ts';
import type { Address, RequestView, ResponseView } from '../request/view.ts';
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
  readonly upstreamLocal?: Address;
  /** Envoy's short names, comma-separated: `UF,URX`. */
  readonly responseFlags?: string;
  readonly responseCodeDetails?: string;
  readonly connectionTerminationDetails?: string;
  readonly upstreamFailureReason?: string;
  readonly attempts?: number;
  /** Milliseconds. */
  readonly duration?: number;
  /** Milliseconds until the upstream's first byte. */
  readonly responseDuration?: number;
  /** Of bodies. */
  readonly bytesReceived?: number;
  readonly bytesSent?: number;
  readonly connectionId?: number;
  readonly hostname?: string;
  /** The body of a local reply. */
  readonly localReplyBody?: string;
  /** With heads, as HTTP/1.1 writes them. */
  readonly wireReceived?: number;
  readonly wireSent?: number;
  /** Of the cluster and of the host that the request went to. */
  readonly clusterMetadata?: Metadata;
  readonly hostMetadata?: Metadata;
  /** In hex digits; empty: there is none. */
  readonly trace?: { readonly traceId: string; readonly spanId: string };
  /** Metadata of the matched route. */
  readonly routeMetadata?: Readonly<Record<string, unknown>>;
}

export interface FormatContext {
  readonly request: RequestView;
  readonly response?: ResponseView;
  readonly trailers?: ResponseView['headers'];
  readonly facts: StreamFacts;
}

/** undefined: there is no such value. */
export type Operator = (context: FormatContext) => string | undefined;

export interface Format {
  /** The text as configured. */
  readonly text: string;
  /** `missing` stands for values that are not there: empty in headers, `-` in logs. */
  render(context: FormatContext, missing: string): string;
  /** The value where nothing of it changes with the request. */
  readonly constant?: string;
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
  const render = (context: FormatContext, missing: string) => {
    let out = '';
    for (const part of parts) out += typeof part === 'string' ? part : (part(context) ?? missing);
    return out;
  };
  return { text, render };
}

function cut(operator: Operator, length: number | undefined): Operator {
  return length === undefined ? operator : (context) => operator(context)?.slice(0, length);
}
