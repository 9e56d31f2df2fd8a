/** What of HBONE's wire an operator may choose; the rest is fixed by ambient-wire 1.2 and 1.6. */
import { defaultTlsPolicy, type TlsPolicy } from '../tls/policy.ts';
import { defaultWindows, type Http2Windows } from './session.ts';

export interface WireSettings {
  readonly tls: TlsPolicy;
  readonly windows: Http2Windows;
}

export const defaultWire: WireSettings = { tls: defaultTlsPolicy, windows: defaultWindows };
