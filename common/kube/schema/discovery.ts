/** discovery.k8s.io/v1. */
import { endpointSliceKind } from '../kinds/discovery.ts';
import { objectReference } from './cluster.ts';
import { boolean, type KindEntry, list, map, object, oneOf, open, port, string } from './types.ts';

export const discoveryKinds: readonly KindEntry[] = [
  {
    kind: endpointSliceKind,
    versions: ['v1'],
    nameRule: 'subdomain',
    fields: object({
      'addressType!': oneOf('IPv4', 'IPv6', 'FQDN'),
      endpoints: list(
        object({
          'addresses!': list(string(), { minItems: 1, maxItems: 100 }),
          conditions: object({ ready: boolean, serving: boolean, terminating: boolean }),
          hostname: string(),
          nodeName: string(),
          zone: string(),
          hints: open,
          deprecatedTopology: map(string()),
          targetRef: objectReference,
        }),
        { maxItems: 1000 },
      ),
      ports: list(object({ name: string(), protocol: oneOf('TCP', 'UDP', 'SCTP'), port, appProtocol: string() })),
    }),
  },
];
