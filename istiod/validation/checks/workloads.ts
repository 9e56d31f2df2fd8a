/** ServiceEntry, WorkloadEntry, WorkloadGroup. */
import { assertNever } from '../../../common/core/errors.ts';
import type { ServiceEntry } from '../../../common/kube/kinds/istio/service-entry.ts';
import type {
  WorkloadEntry,
  WorkloadEntrySpec,
  WorkloadGroup,
} from '../../../common/kube/kinds/istio/workload-entry.ts';
import type { Field } from '../finding.ts';
import {
  checkExportTo,
  checkPort,
  checkProtocol,
  checkSelector,
  checkWildcardName,
  forRepeated,
  isAddress,
  isAddressOrCidr,
  isFqdn,
  isHttp,
  isTls,
  isWildcardName,
  quote,
} from './values.ts';

export function checkServiceEntry({ spec, metadata }: ServiceEntry, root: Field): void {
  const field = root.at('spec');
  const { hosts, addresses = [], ports = [], endpoints = [], resolution = 'NONE', location = 'MESH_EXTERNAL' } = spec;
  field.each('hosts', hosts, (host, at) => checkWildcardName(host, at));
  forRepeated(
    hosts,
    (h) => h.toLowerCase(),
    (host, i) => field.at('hosts', i).error(`${quote(host)} is in the list already`, 'remove it'),
  );
  addresses.forEach((address, i) => {
    if (!isAddressOrCidr(address)) field.at('addresses', i).error(`${quote(address)} is no address and no CIDR`);
  });
  ports.forEach((port, i) => {
    checkProtocol(port.protocol, field.at('ports', i, 'protocol'));
    if (!/^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/.test(port.name)) {
      field
        .at('ports', i, 'name')
        .error(`${quote(port.name)} is no name of a port`, 'letters, digits and "-" in between');
    }
    const bare = !isHttp(port.protocol) && !isTls(port.protocol);
    if (
      bare &&
      addresses.length === 0 &&
      resolution !== 'NONE' &&
      resolution !== 'DYNAMIC_DNS' &&
      location === 'MESH_EXTERNAL' &&
      hosts.length > 1
    ) {
      field
        .at('ports', i)
        .warn(
          'connections of this port do not say which host they want, and the service has no addresses to tell',
          'add spec.addresses, or split the hosts',
        );
    }
  });
  checkSelector(spec.workloadSelector?.labels, spec.workloadSelector !== undefined, field.at('workloadSelector'));
  if (spec.workloadSelector !== undefined && resolution === 'NONE') {
    field
      .at('workloadSelector')
      .warn('with resolution NONE nobody uses the selected workloads', 'set resolution: STATIC');
  }
  checkExportTo(spec.exportTo, metadata.namespace ?? 'default', true, field.at('exportTo'));
  const names = new Set(ports.map((p) => p.name));
  endpoints.forEach((endpoint, i) => {
    const at = field.at('endpoints', i);
    const byName = resolution === 'DNS' || resolution === 'DNS_ROUND_ROBIN';
    checkEntry(endpoint, byName, at);
    for (const port of Object.keys(endpoint.ports ?? {})) {
      if (!names.has(port)) {
        at.at('ports', port).error(
          `the service has no port ${quote(port)}`,
          `expected one of ${[...names].join(', ') || 'none'}`,
        );
      }
    }
    if (endpoint.address?.startsWith('unix://') && ports.length !== 1) {
      at.at('address').error('a unix socket serves one port, and the service has another number of them');
    }
  });
  checkResolution(spec, resolution, field);
}

function checkResolution(
  spec: ServiceEntry['spec'],
  resolution: NonNullable<ServiceEntry['spec']['resolution']>,
  field: Field,
): void {
  const { hosts, ports = [], endpoints = [], addresses = [] } = spec;
  switch (resolution) {
    case 'NONE':
    case 'STATIC':
      return;
    case 'DNS':
    case 'DNS_ROUND_ROBIN':
      if (endpoints.length > 0 || spec.workloadSelector !== undefined) return;
      hosts.forEach((host, i) => {
        if (isFqdn(host)) return;
        field
          .at('hosts', i)
          .error(
            `${quote(host)} cannot be looked up, and the service has no endpoints`,
            'list endpoints, or name a host',
          );
      });
      return;
    case 'DYNAMIC_DNS':
      hosts.forEach((host, i) => {
        if (!host.startsWith('*'))
          field
            .at('hosts', i)
            .error('resolution DYNAMIC_DNS looks up the name that a client gives: the host has to be a wildcard');
      });
      if (addresses.length > 0) field.at('addresses').error('resolution DYNAMIC_DNS takes no addresses', 'remove them');
      if (endpoints.length > 0) field.at('endpoints').error('resolution DYNAMIC_DNS takes no endpoints', 'remove them');
      ports.forEach(({ protocol }, i) => {
        if (!isHttp(protocol) && !isTls(protocol)) {
          field
            .at('ports', i, 'protocol')
            .error('resolution DYNAMIC_DNS needs a protocol that names its host', 'HTTP, HTTP2, GRPC or TLS');
        }
      });
      return;
    default:
      assertNever(resolution);
  }
}

/** What its schema does not say. */
function checkEntry(entry: WorkloadEntrySpec, byName: boolean, field: Field): void {
  const { address = '', network = '' } = entry;
  if (address === '') {
    if (network === '') field.error('an address is expected, or a network whose gateway knows the way');
    return;
  }
  if (address.startsWith('unix://')) return;
  if (!isAddress(address) && !(byName && isFqdn(address))) {
    field
      .at('address')
      .error(
        `${quote(address)} is no address`,
        byName ? 'expected an IP address or a DNS name' : 'names need resolution: DNS, or a WorkloadEntry',
      );
  }
}

export function checkWorkloadEntry({ spec }: WorkloadEntry, root: Field): void {
  checkEntry(spec, true, root.at('spec'));
}

export function checkWorkloadGroup({ spec }: WorkloadGroup, root: Field): void {
  const { template, probe } = spec;
  const at = root.at('spec', 'template');
  if (
    template.address !== undefined &&
    template.address !== '' &&
    !isWildcardName(template.address) &&
    !isAddress(template.address) &&
    !template.address.startsWith('unix://')
  ) {
    at.at('address').error(`${quote(template.address)} is no address`);
  }
  const grpc = probe?.grpc?.port;
  checkPort(grpc, root.at('spec', 'probe', 'grpc', 'port'));
}
