/** Sidecar, EnvoyFilter, Telemetry, WasmPlugin: kinds that nothing of ours reads. */
import type { EnvoyFilter } from '../../../common/kube/kinds/istio/envoy-filter.ts';
import type { Sidecar } from '../../../common/kube/kinds/istio/sidecar.ts';
import type { Telemetry } from '../../../common/kube/kinds/istio/telemetry.ts';
import type { Field } from '../finding.ts';
import { checkServerTls } from './gateways.ts';
import {
  checkPort,
  checkProtocol,
  checkSelector,
  checkWildcardName,
  forRepeated,
  isDnsLabel,
  quote,
} from './values.ts';

export function checkSidecar({ spec = {} }: Sidecar, root: Field): void {
  const field = root.at('spec');
  const { ingress = [], egress = [], outboundTrafficPolicy } = spec;
  checkSelector(spec.workloadSelector?.labels, spec.workloadSelector !== undefined, field.at('workloadSelector'));
  if (
    ingress.length + egress.length === 0 &&
    outboundTrafficPolicy === undefined &&
    spec.inboundConnectionPool === undefined
  ) {
    field.error('says nothing', 'set egress, ingress or outboundTrafficPolicy');
  }
  forRepeated(
    ingress,
    ({ port, bind = '' }) => `${bind} ${port.number}`,
    (_, i) => field.at('ingress', i, 'port').error('another listener has the same port'),
  );
  field.each('ingress', ingress, ({ port, defaultEndpoint, tls }, at) => {
    checkPort(port.number ?? 0, at.at('port', 'number'));
    checkProtocol(port.protocol, at.at('port', 'protocol'));
    if (
      defaultEndpoint !== undefined &&
      defaultEndpoint !== '' &&
      !/^(127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):\d{1,5}$|^unix:\/\/[/@]/.test(defaultEndpoint)
    ) {
      at.at('defaultEndpoint').error(
        `${quote(defaultEndpoint)} is no endpoint of the workload`,
        'expected 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH',
      );
    }
    if (tls !== undefined) checkServerTls(tls, at.at('tls'));
  });
  egress.forEach(({ hosts, port }, i) => {
    const at = field.at('egress', i);
    if (hosts.length === 0) at.at('hosts').error('a host is expected; */* is all');
    if (port === undefined && i < egress.length - 1)
      at.error('a listener without a port takes the rest, so it comes last');
    at.each('hosts', hosts, checkEgressHost);
  });
  if (outboundTrafficPolicy?.egressProxy !== undefined && outboundTrafficPolicy.mode !== 'ALLOW_ANY') {
    field.at('outboundTrafficPolicy', 'egressProxy').error('gets what is allowed: mode ALLOW_ANY is expected');
  }
}

function checkEgressHost(host: string, field: Field): void {
  const [namespace = '', name, ...more] = host.split('/');
  if (name === undefined || more.length > 0 || !(['*', '.', '~'].includes(namespace) || isDnsLabel(namespace))) {
    field.error(
      `${quote(host)} is no host of a namespace`,
      'write <namespace>/<name>; "." is this namespace and "*" any',
    );
    return;
  }
  checkWildcardName(name, field);
}

export function checkEnvoyFilter({ spec = {} }: EnvoyFilter, root: Field): void {
  const field = root.at('spec');
  checkSelector(spec.workloadSelector?.labels, spec.workloadSelector !== undefined, field.at('workloadSelector'));
  field.each('configPatches', spec.configPatches, ({ applyTo = 'INVALID', patch, match }, at) => {
    if (applyTo === 'INVALID') at.at('applyTo').error('says not what is changed');
    const operation = patch?.operation ?? 'INVALID';
    if (operation === 'INVALID') at.at('patch', 'operation').error('says not how it is changed');
    else if (operation !== 'REMOVE' && patch?.value === undefined)
      at.at('patch', 'value').error(`${operation} needs a value`);
    else if (operation === 'REMOVE' && patch?.value !== undefined)
      at.at('patch', 'value').warn('REMOVE takes no value', 'remove it');
    if (applyTo === 'CLUSTER' && (match?.listener !== undefined || match?.routeConfiguration !== undefined))
      at.at('match').error('a CLUSTER is matched by cluster');
    if (
      operation.startsWith('INSERT_') &&
      !['NETWORK_FILTER', 'HTTP_FILTER', 'HTTP_ROUTE', 'LISTENER_FILTER'].includes(applyTo)
    )
      at.at('patch', 'operation').error(`${operation} is for filters and routes, not for ${applyTo}`);
  });
}

export function checkTelemetry({ spec = {} }: Telemetry, root: Field): void {
  const field = root.at('spec');
  checkSelector(spec.selector?.matchLabels, spec.selector !== undefined, field.at('selector'));
  if ((spec.tracing?.length ?? 0) > 1) field.at('tracing').warn('only the first of them counts');
  field.each('tracing', spec.tracing, ({ providers }, at) => {
    if ((providers?.length ?? 0) > 1) at.at('providers').warn('only the first of them counts');
  });
  field.each('metrics', spec.metrics, ({ overrides }, at) => {
    at.each('overrides', overrides, ({ tagOverrides = {} }, o) => {
      if (Object.hasOwn(tagOverrides, '')) o.at('tagOverrides').error('a label has no name');
    });
  });
}
