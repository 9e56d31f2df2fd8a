/** How istiod and the CA are reached (ambient-wire 3.7, 6.7). */
import type { Settings, SettingsReader } from '../../common/config/reader.ts';
import type { ControlPlane, Roots, Token } from '../../common/xds/connect.ts';
import type { ProxyConfig } from './proxy-config.ts';

export type CaSource =
  | { readonly kind: 'istiod'; readonly plane: ControlPlane }
  /** Signs by itself for whoever asks, with the `root-cert.pem` and `ca-key.pem` of a folder: for tests. */
  | { readonly kind: 'fake'; readonly folder: string };

export type LocalMesh =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'text'; readonly text: string };

export interface ControlPlaneSettings {
  /** Undefined: no xDS, the mesh is that of `localMesh` alone. */
  readonly xds: ControlPlane | undefined;
  readonly ca: CaSource;
  readonly localMesh: LocalMesh | undefined;
}

export interface ControlPlaneFacts {
  readonly env: Settings;
  readonly clusterId: string;
  readonly proxyConfig: ProxyConfig;
  /** Whether a file is there. */
  readonly exists: (path: string) => boolean;
}

const defaultRoots = './var/run/secrets/istio/root-cert.pem';
const defaultToken = './var/run/secrets/tokens/istio-token';

export function parseControlPlane(r: SettingsReader, facts: ControlPlaneFacts): ControlPlaneSettings {
  const token = parseToken(r, facts.exists);
  const localMesh = parseLocalMesh(r);
  const xds = r.given('XDS_ADDRESS') === '' ? undefined : plane(r, 'XDS', token, facts);
  if (!xds && !localMesh) {
    r.mistake('XDS_ADDRESS is empty: then LOCAL_XDS_PATH or LOCAL_XDS must say what the mesh is');
  }
  return { xds, ca: parseCa(r, token, facts), localMesh };
}

function parseCa(r: SettingsReader, token: Token, facts: ControlPlaneFacts): CaSource {
  const folder = r.text('AQUIFER_FAKE_CA_DIR');
  if (r.boolean('FAKE_CA') ?? false) {
    if (folder === undefined) {
      r.mistake('FAKE_CA=true: AQUIFER_FAKE_CA_DIR must name a folder with root-cert.pem and ca-key.pem');
    }
    return { kind: 'fake', folder: folder ?? '' };
  }
  if (folder !== undefined) r.mistake(`AQUIFER_FAKE_CA_DIR=${folder}: has no effect without FAKE_CA=true`);
  return { kind: 'istiod', plane: plane(r, 'CA', token, facts) };
}

function parseLocalMesh(r: SettingsReader): LocalMesh | undefined {
  const path = r.text('LOCAL_XDS_PATH');
  const text = r.text('LOCAL_XDS');
  if (path !== undefined && text !== undefined) r.mistake('LOCAL_XDS_PATH and LOCAL_XDS are both set: set one');
  if (path !== undefined) return { kind: 'file', path };
  return text === undefined ? undefined : { kind: 'text', text };
}

function plane(r: SettingsReader, prefix: 'XDS' | 'CA', token: Token, facts: ControlPlaneFacts): ControlPlane {
  const fallback = r.text('KUBERNETES_SERVICE_HOST')
    ? 'https://istiod.istio-system.svc:15012'
    : 'https://localhost:15012';
  const parse = (text: string) => parseAddress(text, prefix);
  const expected = prefix === 'XDS' ? 'https://host:port or http://host:port' : 'https://host:port';
  return {
    address: r.parsed(`${prefix}_ADDRESS`, parse, expected) ?? discovered(r, prefix, facts) ?? fallback,
    roots: parseRoots(r, `${prefix}_ROOT_CA`),
    alternativeName: r.text(`ALT_${prefix}_HOSTNAME`),
    token,
    clusterId: facts.clusterId,
    headers: headers(r, `${prefix}_HEADER_`, facts.env),
  };
}

/** Istio's ProxyConfig knows of xDS only. */
function discovered(r: SettingsReader, prefix: 'XDS' | 'CA', { proxyConfig }: ControlPlaneFacts): string | undefined {
  const text = prefix === 'XDS' ? proxyConfig.discoveryAddress : undefined;
  if (text === undefined) return undefined;
  const address = parseAddress(text, prefix);
  if (address === undefined) r.mistake(`discoveryAddress: ${JSON.stringify(text)}: expected host:port`);
  return address;
}

/** Keys and certificates never travel without TLS; the plain port of istiod has no CA. */
function parseAddress(text: string, prefix: 'XDS' | 'CA'): string | undefined {
  const address = text.includes('://') ? text : `https://${text}`;
  const form = new RegExp(`^${prefix === 'XDS' ? 'https?' : 'https'}://([^/:[\\]]+|\\[[^\\]]+\\]):\\d{1,5}$`);
  return form.test(address) ? address : undefined;
}

function parseRoots(r: SettingsReader, name: string): Roots {
  const text = r.text(name) ?? defaultRoots;
  if (text === 'SYSTEM') return { kind: 'system' };
  return text.includes('-----BEGIN') ? { kind: 'pem', pem: text } : { kind: 'file', path: text };
}

function parseToken(r: SettingsReader, exists: (path: string) => boolean): Token {
  const text = r.text('AUTH_TOKEN');
  if (text === undefined) return { kind: 'optionalFile', path: defaultToken };
  // No token has a slash; a file that is not there yet is still meant as one.
  if (text.includes('/') || exists(text)) return { kind: 'file', path: text };
  // The value is a secret and not shown.
  if (!isHeaderValue(text))
    r.mistake('AUTH_TOKEN=...: expected the path of a file, or a token without spaces around it');
  return { kind: 'literal', token: text };
}

function headers(r: SettingsReader, prefix: string, env: Settings): Readonly<Record<string, string>> {
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
