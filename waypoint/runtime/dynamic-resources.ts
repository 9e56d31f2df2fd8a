/** `dynamic_resources` of a bootstrap file: clusters and listeners by one delta ADS stream from a server among the static clusters. */

import type { JsonValue } from '../../common/api/index.ts';
import { structFromJson } from '../../common/api/index.ts';
import { MeshError } from '../../common/core/errors.ts';
import { Fields } from '../../common/envoy/fields.ts';
import type { ControlPlane, Roots } from '../../common/xds/connect.ts';
import type { AdsOptions } from './ads.ts';

export interface DynamicResources {
  /** The static cluster with the server's one address. */
  readonly cluster: string;
  /** Sent with each stream. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Only ADS, and only its delta form: Envoy's `DELTA_GRPC`. */
export function readDynamicResources(fields: Fields): DynamicResources | undefined {
  for (const name of ['cds_config', 'lds_config']) {
    const source = fields.message(name);
    source?.harmless('initial_fetch_timeout', 'resource_api_version');
    if (source?.message('ads') === undefined) fields.mistake(name, 'is not by ads: {}, the one way that is served');
  }
  const ads = fields.message('ads_config');
  if (ads === undefined) {
    fields.mistake('ads_config', 'is missing');
    return undefined;
  }
  ads.harmless('set_node_on_first_message_only', 'transport_api_version');
  if (ads.text('api_type') !== 'DELTA_GRPC') ads.mistake('api_type', 'must be DELTA_GRPC: only changes are asked for');
  const [service, ...others] = ads.list('grpc_services');
  if (service === undefined || others.length > 0) ads.mistake('grpc_services', 'must have one entry');
  service?.harmless('timeout');
  const headers = (service?.list('initial_metadata') ?? []).map((h) => [h.text('key').toLowerCase(), h.text('value')]);
  const envoy = service?.message('envoy_grpc');
  const cluster = envoy?.text('cluster_name') ?? '';
  if (cluster === '') service?.mistake('envoy_grpc', 'has no cluster_name');
  return { cluster, headers: Object.fromEntries(headers) };
}

/** What the stream tells of us first. MeshError CONFIG where `node` has no id or no cluster, as Envoy demands of both. */
export function nodeOf(node: Fields | undefined): AdsOptions['node'] {
  const [id, cluster] = [node?.text('id') ?? '', node?.text('cluster') ?? ''];
  if (id === '' || cluster === '')
    throw new MeshError('CONFIG', 'Bootstrap.node: dynamic_resources need its id and its cluster');
  return { id, cluster, metadata: structFromJson((node?.struct('metadata') ?? {}) as Record<string, JsonValue>) };
}

/** Where the server is. MeshError CONFIG where the cluster is none of one address, or has TLS that cannot be honoured. */
export function serverOf({ cluster: name, headers }: DynamicResources, clusters: readonly object[]): ControlPlane {
  const found = clusters.find((c) => (c as { readonly name?: string }).name === name);
  if (found === undefined) {
    throw new MeshError(
      'CONFIG',
      `ads_config: static_resources have no cluster ${name}; add it, with the server's address`,
    );
  }
  const cluster = new Fields(found, `Cluster ${name}`);
  const endpoints = cluster
    .message('load_assignment')
    ?.list('endpoints')
    .flatMap((locality) => locality.list('lb_endpoints'));
  const address = endpoints?.[0]?.message('endpoint')?.message('address')?.message('socket_address');
  if (address === undefined || endpoints?.length !== 1) {
    throw new MeshError('CONFIG', `Cluster ${name}: of an ADS server it needs one endpoint with a socket_address`);
  }
  const host = address.text('address');
  const target = `${host.includes(':') ? `[${host}]` : host}:${address.number('port_value', 1, 65_535)}`;
  const tls = cluster.message('transport_socket')?.message('typed_config');
  const common = { token: undefined, clusterId: '', headers };
  if (tls === undefined) return { ...common, address: `http://${target}`, roots: { kind: 'system' } };
  const { roots, sni } = readTls(tls, name);
  return { ...common, address: `https://${target}`, roots, ...(sni !== '' && { alternativeName: sni }) };
}

function readTls(tls: Fields, cluster: string): { readonly roots: Roots; readonly sni: string } {
  const refuse = (what: string) => {
    throw new MeshError('CONFIG', `Cluster ${cluster}: ${what} of an ADS server's cluster is not supported`);
  };
  const context = tls.message('common_tls_context');
  for (const field of ['tls_certificates', 'tls_certificate_sds_secret_configs']) {
    if (context?.has(field)) refuse(`${field} (a client's certificate)`);
  }
  const validation = context?.message('validation_context');
  for (const field of ['match_typed_subject_alt_names', 'verify_certificate_hash', 'verify_certificate_spki', 'crl']) {
    if (validation?.has(field)) refuse(field);
  }
  const ca = validation?.message('trusted_ca');
  // Envoy trusts anybody then.
  if (ca === undefined) refuse('TLS without validation_context.trusted_ca');
  const [path, text] = [ca!.text('filename'), ca!.text('inline_string')];
  const roots: Roots =
    path !== ''
      ? { kind: 'file', path }
      : { kind: 'pem', pem: text !== '' ? text : ca!.bytes('inline_bytes').toString() };
  return { roots, sni: tls.text('sni') };
}
