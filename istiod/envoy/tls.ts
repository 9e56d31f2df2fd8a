/** TLS of the mesh's own tunnels. Keys and roots come by name from the agent beside the proxy; istiod never has them. */
import type { MeshFacts } from './inputs.ts';
import { type Message, none } from './values.ts';

/** Of the agent's secrets: the workload's certificate with its key, and the mesh's roots. */
const certificateSecret = 'default';
const rootSecret = 'ROOTCA';
/** Cluster in the bootstrap that leads to the agent's socket. */
const agentCluster = 'sds-grpc';

const fromAgent = {
  api_config_source: {
    api_type: 'GRPC',
    set_node_on_first_message_only: true,
    transport_api_version: 'V3',
    grpc_services: [{ envoy_grpc: { cluster_name: agentCluster } }],
  },
  initial_fetch_timeout: none,
  resource_api_version: 'V3',
};

/** TLS 1.3 with the workload's certificate; the peer's has to be of one of the mesh's trust domains. */
export function meshTls({ trustDomain, trustDomainAliases }: MeshFacts): Message {
  const names = [trustDomain, ...trustDomainAliases].map((td) => ({
    san_type: 'URI',
    matcher: { prefix: `spiffe://${td}/` },
  }));
  return {
    tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
    alpn_protocols: ['h2'],
    tls_certificate_sds_secret_configs: [{ name: certificateSecret, sds_config: fromAgent }],
    combined_validation_context: {
      default_validation_context: { match_typed_subject_alt_names: names },
      validation_context_sds_secret_config: { name: rootSecret, sds_config: fromAgent },
    },
  };
}
