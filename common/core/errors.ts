/**
 * One error type with a stable `code`, and one table that says what each code means to metrics, logs and users.
 * Refusals by policy are values (`Decision`), not errors; errors are failures of I/O, peers, configuration or the kernel.
 */
export type ErrorSource = 'downstream' | 'upstream' | 'control' | 'kernel' | 'config' | 'internal';
/** `response_flags` of the traffic metrics and of the access log (ambient-wire 7.1). */
export type ResponseFlag =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR'
  | 'CERT_REVOKED';

interface Traits {
  readonly source: ErrorSource;
  readonly responseFlag: ResponseFlag;
  /** What an operator should look at first; empty when the message says it. */
  readonly hint: string;
}

export const errorTable = {
  CONNECT_FAILED: { source: 'upstream', responseFlag: 'CONNECT', hint: '' },
  CONNECT_TIMEOUT: {
    source: 'upstream',
    responseFlag: 'NETWORK_POLICY',
    hint: 'a NetworkPolicy or firewall may block TCP 15008 between the nodes',
  },
  TLS_FAILED: { source: 'upstream', responseFlag: 'TLS_FAILURE', hint: '' },
  CERT_REVOKED: { source: 'upstream', responseFlag: 'CERT_REVOKED', hint: 'see the lists in CRL_PATH' },
  H2_FAILED: { source: 'upstream', responseFlag: 'H2_HANDSHAKE_FAILURE', hint: '' },
  TUNNEL_REFUSED: { source: 'upstream', responseFlag: 'CONNECT', hint: '' },
  IDENTITY_UNAVAILABLE: {
    source: 'control',
    responseFlag: 'IDENTITY_ERROR',
    hint: 'see the log of istiod for the refused CreateCertificate, and CA_TRUSTED_NODE_ACCOUNTS',
  },
  UNKNOWN_SOURCE: {
    source: 'control',
    responseFlag: 'CONNECT',
    hint: 'istiod has not announced this pod to its node proxy',
  },
  NO_HEALTHY_UPSTREAM: { source: 'upstream', responseFlag: 'CONNECT', hint: '' },
  UNSUPPORTED: { source: 'config', responseFlag: 'CONNECT', hint: '' },
  LOOP: { source: 'downstream', responseFlag: 'CONNECT', hint: 'the destination is a port of the proxy itself' },
  DESCRIPTORS_EXHAUSTED: {
    source: 'internal',
    responseFlag: 'CONNECT',
    hint: 'raise the limit of open files of the node proxy',
  },
  PROTOCOL: { source: 'downstream', responseFlag: 'H2_HANDSHAKE_FAILURE', hint: '' },
  KERNEL: { source: 'kernel', responseFlag: '-', hint: '' },
  CONFIG: { source: 'config', responseFlag: '-', hint: '' },
  CONFLICT: { source: 'control', responseFlag: '-', hint: 'read the object again and retry' },
  NOT_FOUND: { source: 'control', responseFlag: '-', hint: '' },
  GONE: { source: 'control', responseFlag: '-', hint: 'list again and watch from there' },
  API_UNAVAILABLE: { source: 'control', responseFlag: '-', hint: '' },
  CANCELLED: { source: 'internal', responseFlag: '-', hint: '' },
} as const satisfies Record<string, Traits>;

export type ErrorCode = keyof typeof errorTable;

export class MeshError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MeshError';
    this.code = code;
  }

  get responseFlag(): ResponseFlag {
    return errorTable[this.code].responseFlag;
  }

  get hint(): string {
    return errorTable[this.code].hint;
  }
}

/** The message of anything thrown, with the hint where there is one; never a stack. */
export function describeError(e: unknown): string {
  if (e instanceof MeshError) return e.hint ? `${e.message} (${e.hint})` : e.message;
  return e instanceof Error ? e.message : String(e);
}

/** Ends a switch over a union: a new member makes this a type error. */
export function assertNever(x: never): never {
  throw new Error(`unreachable: ${JSON.stringify(x)}`);
}
