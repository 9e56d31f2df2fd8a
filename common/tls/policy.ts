/** What of mesh TLS may be chosen. Made once for a program: contexts are kept by it. */
export interface TlsPolicy {
  /** TLS 1.3 alone, or TLS 1.2 with ECDHE and AES-GCM besides (`TLS12_ENABLED`). */
  readonly oldest: 'TLSv1.3' | 'TLSv1.2';
  /** `pqc`: X25519MLKEM768 is the only key exchange (`COMPLIANCE_POLICY=pqc`), which rules TLS 1.2 out. */
  readonly keyExchange: 'default' | 'pqc';
}

export const defaultTlsPolicy: TlsPolicy = { oldest: 'TLSv1.3', keyExchange: 'default' };
