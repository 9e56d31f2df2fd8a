/** How istiod and the CA are reached, from Istio's variables (ambient-wire 3.7, 6.7). */
import type { Roots, Token } from '../xds/connect.ts';
import type { Settings, SettingsReader } from './reader.ts';

const defaultRoots = './var/run/secrets/istio/root-cert.pem';
const defaultToken = './var/run/secrets/tokens/istio-token';

/** Keys and certificates never travel without TLS; the plain port of istiod has no CA. */
export function parseAddress(text: string, prefix: 'XDS' | 'CA'): string | undefined {
  const address = text.includes('://') ? text : `https://${text}`;
  const form = new RegExp(`^${prefix === 'XDS' ? 'https?' : 'https'}://([^/:[\\]]+|\\[[^\\]]+\\]):\\d{1,5}$`);
  return form.test(address) ? address : undefined;
}

/** A path, PEM, or `SYSTEM`. */
export function parseRoots(r: SettingsReader, name: string): Roots {
  const text = r.text(name) ?? defaultRoots;
  if (text === 'SYSTEM') return { kind: 'system' };
  return text.includes('-----BEGIN') ? { kind: 'pem', pem: text } : { kind: 'file', path: text };
}

/** `AUTH_TOKEN`: a path or a literal. */
export function parseToken(r: SettingsReader, exists: (path: string) => boolean): Token {
  const text = r.text('AUTH_TOKEN');
  if (text === undefined) return { kind: 'optionalFile', path: defaultToken };
  // No token has a slash; a file that is not there yet is still meant as one.
  if (text.includes('/') || exists(text)) return { kind: 'file', path: text };
  // The value is a secret and not shown.
  if (!isHeaderValue(text))
    r.mistake('AUTH_TOKEN=...: expected the path of a file, or a token without spaces around it');
  return { kind: 'literal', token: text };
}

/** Variables `<prefix><name>` as headers. */
export function parseHeaders(r: SettingsReader, prefix: string, env: Settings): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || value === undefined) continue;
    const name = variable.slice(prefix.length).toLowerCase();
    // Values may be secrets and are not shown.
    if (!/^[a-z0-9_.-]+$/.test(name) || name.endsWith('-bin')) r.mistake(`${variable}=...: names no text header`);
    else if (!isHeaderValue(value)) r.mistake(`${variable}=...: expected printable ASCII without spaces around it`);
    else found[name] = value;
  }
  return found;
}

function isHeaderValue(text: string): boolean {
  return /^[ -~]*$/.test(text) && text.trim() === text;
}
