/** How istiod and the CA are reached (ambient-wire 3.7, 6.7). */
import { parseAddress, parseHeaders, parseRoots, parseToken } from '../../common/config/control-plane.ts';
import type { ProxyConfig } from '../../common/config/proxy-config.ts';
import type { Settings, SettingsReader } from '../../common/config/reader.ts';
import type { ControlPlane, Token } from '../../common/xds/connect.ts';

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
    headers: parseHeaders(r, `${prefix}_HEADER_`, facts.env),
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
