/** DestinationRule and the traffic policies in it. */
import type { DestinationRule } from '../../../common/kube/kinds/istio/destination-rule.ts';
import type { Field } from '../finding.ts';
import {
  checkDuration,
  checkExportTo,
  checkPort,
  checkSelector,
  checkWildcardName,
  forRepeated,
  isAddress,
  isFqdn,
  quote,
} from './values.ts';

type Policy = NonNullable<NonNullable<DestinationRule['spec']>['trafficPolicy']>;
type PortPolicy = NonNullable<Policy['portLevelSettings']>[number];
type LoadBalancer = NonNullable<Policy['loadBalancer']>;
type Outlier = NonNullable<Policy['outlierDetection']>;
type Pool = NonNullable<Policy['connectionPool']>;

export function checkDestinationRule({ spec, metadata }: DestinationRule, root: Field): void {
  if (spec === undefined) return;
  const field = root.at('spec');
  const { subsets = [], workloadSelector, exportTo } = spec;
  checkWildcardName(spec.host, field.at('host'));
  checkPolicy(spec.trafficPolicy, field.at('trafficPolicy'));
  forRepeated(
    subsets,
    (s) => s.name,
    ({ name }, i) => field.at('subsets', i, 'name').error(`${quote(name)} is the name of another subset`),
  );
  field.each('subsets', subsets, ({ name, trafficPolicy }, at) => {
    if (!/^[a-zA-Z0-9]([-a-zA-Z0-9_.]*[a-zA-Z0-9])?$/.test(name))
      at.at('name').error(`${quote(name)} is no name of a subset`, 'letters, digits, "-", "_" and "." in between');
    checkPolicy(trafficPolicy, at.at('trafficPolicy'));
  });
  checkSelector(workloadSelector?.matchLabels, workloadSelector !== undefined, field.at('workloadSelector'));
  checkExportTo(exportTo, metadata.namespace ?? 'default', false, field.at('exportTo'));
  if (workloadSelector !== undefined && exportTo?.some((e) => e !== '.' && e !== metadata.namespace)) {
    field
      .at('exportTo')
      .error('with a workloadSelector the rule is for its own namespace', 'write ".", or remove one of the two');
  }
}

function checkPolicy(policy: Policy | undefined, field: Field): void {
  if (policy === undefined) return;
  checkCommon(policy, field);
  if (policy.tunnel !== undefined && policy.proxyProtocol !== undefined) {
    field.error('tunnel and proxyProtocol exclude each other', 'keep one');
  }
  const { tunnel } = policy;
  if (tunnel !== undefined) {
    const at = field.at('tunnel');
    if (tunnel.protocol !== undefined && !['CONNECT', 'POST'].includes(tunnel.protocol.toUpperCase()))
      at.at('protocol').error(`${quote(tunnel.protocol)} is no way to tunnel`, 'expected CONNECT or POST');
    if (!isFqdn(tunnel.targetHost) && !isAddress(tunnel.targetHost))
      at.at('targetHost').error(`${quote(tunnel.targetHost)} is no name and no address`);
    checkPort(tunnel.targetPort, at.at('targetPort'));
  }
  forRepeated(
    policy.portLevelSettings ?? [],
    (p) => p.port?.number,
    (p, i) => field.at('portLevelSettings', i, 'port').error(`port ${p.port?.number} is set already`),
  );
  field.each('portLevelSettings', policy.portLevelSettings, (settings, at) => {
    if (settings.port?.number === undefined) at.at('port').error('says for which port', 'set port.number');
    else checkPort(settings.port.number, at.at('port', 'number'));
    checkCommon(settings, at);
  });
  checkDuration(policy.retryBudget?.budgetInterval, field.at('retryBudget', 'budgetInterval'));
}

function checkCommon(policy: Policy | PortPolicy, field: Field): void {
  const { loadBalancer, outlierDetection, connectionPool, tls } = policy;
  const { port: _port, ...settings } = policy as PortPolicy;
  if (Object.keys(settings).length === 0) field.error('sets nothing', 'remove it');
  if (outlierDetection !== undefined) checkOutlier(outlierDetection, field.at('outlierDetection'));
  if (loadBalancer !== undefined) checkLoadBalancer(loadBalancer, outlierDetection, field.at('loadBalancer'));
  if (connectionPool !== undefined) checkPool(connectionPool, field.at('connectionPool'));
  if (tls === undefined) return;
  const at = field.at('tls');
  if (tls.mode === 'ISTIO_MUTUAL') {
    for (const name of ['clientCertificate', 'privateKey', 'caCertificates', 'credentialName', 'sni'] as const) {
      if (name !== 'sni' && tls[name])
        at.at(name).error('mode ISTIO_MUTUAL uses the certificates of the mesh', 'remove it');
    }
  } else if (tls.mode === 'MUTUAL' && !tls.credentialName) {
    if (!tls.clientCertificate) at.error('mode MUTUAL shows a certificate', 'set credentialName, or clientCertificate');
    if (!tls.privateKey) at.error('mode MUTUAL needs the key of its certificate', 'set credentialName, or privateKey');
  }
  if (tls.credentialName && (tls.clientCertificate || tls.caCertificates || tls.privateKey)) {
    at.error('certificates come from a Secret and from files', 'keep credentialName or the files');
  }
}

function checkOutlier(outlier: Outlier, field: Field): void {
  if (outlier.consecutiveErrors !== undefined)
    field.at('consecutiveErrors').warn('is not read any more', 'use consecutive5xxErrors or consecutiveGatewayErrors');
  if (outlier.consecutiveLocalOriginFailures && !outlier.splitExternalLocalOriginErrors) {
    field
      .at('consecutiveLocalOriginFailures')
      .error('counts only where failures to connect are counted apart', 'set splitExternalLocalOriginErrors: true');
  }
  for (const name of ['maxEjectionPercent', 'minHealthPercent'] as const) {
    const value = outlier[name];
    if (value !== undefined && (value < 0 || value > 100))
      field.at(name).error(`${value} per cent is out of range: expected 0 to 100`);
  }
}

function checkPool({ http, tcp }: Pool, field: Field): void {
  if (http === undefined && tcp === undefined) field.error('sets nothing', 'remove it');
  for (const [name, value] of Object.entries({ ...http })) {
    if (typeof value === 'number' && value < 0)
      field.at('http', name).error(`${value} is less than nothing: expected 0 or more`);
  }
  if (http?.useClientProtocol && http.h2UpgradePolicy === 'UPGRADE') {
    field.at('http').error('useClientProtocol keeps the protocol and h2UpgradePolicy changes it', 'keep one');
  }
  if (http?.http2KeepAlive !== undefined) {
    const at = field.at('http', 'http2KeepAlive');
    if (http.http2KeepAlive.interval === undefined) at.at('interval').error('required field is missing');
    if (http.http2KeepAlive.timeout === undefined) at.at('timeout').error('required field is missing');
  }
  if (tcp?.maxConnections !== undefined && tcp.maxConnections < 0)
    field.at('tcp', 'maxConnections').error(`${tcp.maxConnections} is less than nothing: expected 0 or more`);
  checkDuration(tcp?.idleTimeout, field.at('tcp', 'idleTimeout'));
}

function checkLoadBalancer(balancer: LoadBalancer, outlier: Outlier | undefined, field: Field): void {
  const { consistentHash: hash, localityLbSetting: locality, zoneAwareLbSetting, warmup } = balancer;
  if (hash !== undefined) {
    const at = field.at('consistentHash');
    const cookie = hash.httpCookie;
    if (cookie?.name === '') at.at('httpCookie', 'name').error('must not be empty');
    checkDuration(cookie?.ttl, at.at('httpCookie', 'ttl'));
    forRepeated(
      cookie?.attributes ?? [],
      (a) => a.name,
      ({ name }, i) =>
        at
          .at('httpCookie', 'attributes', i, 'name')
          .error(name === '' ? 'must not be empty' : `${quote(name)} is in the list already`),
    );
    if (hash.minimumRingSize !== undefined) {
      at.at('minimumRingSize').warn('is the older form', 'use ringHash.minimumRingSize');
      if (hash.ringHash !== undefined || hash.maglev !== undefined)
        at.error('minimumRingSize is for neither ringHash nor maglev', 'remove it');
    }
    const size = hash.maglev?.tableSize;
    if (hash.maglev !== undefined && (size === undefined || size >= 5_000_011 || !isPrime(size))) {
      at.at('maglev', 'tableSize').error(
        `${size ?? 'nothing'} is no size of a table`,
        'expected a prime below 5000011, such as 65537',
      );
    }
  }
  if (locality !== undefined && zoneAwareLbSetting !== undefined)
    field.error('localityLbSetting and zoneAwareLbSetting exclude each other', 'keep one');
  if (locality !== undefined) checkLocality(locality, outlier, field.at('localityLbSetting'));
  if (balancer.warmupDurationSecs !== undefined)
    field.at('warmupDurationSecs').warn('is the older form', 'use warmup.duration');
  if (warmup?.aggression !== undefined && warmup.aggression !== null && warmup.aggression < 1) {
    field.at('warmup', 'aggression').error(`${warmup.aggression} is too small: expected 1 or more`);
  }
}

function checkLocality(
  setting: NonNullable<LoadBalancer['localityLbSetting']>,
  outlier: Outlier | undefined,
  field: Field,
): void {
  const { distribute = [], failover = [], failoverPriority = [] } = setting;
  if (distribute.length > 0 && (failover.length > 0 || failoverPriority.length > 0)) {
    field.error('distribute says shares and failover says an order', 'keep one of the two');
  }
  distribute.forEach(({ to = {} }, i) => {
    const sum = Object.values(to).reduce((a, b) => a + b, 0);
    const at = field.at('distribute', i, 'to');
    if (Object.values(to).some((weight) => weight === 0 || weight > 100))
      at.error('a share is 1 to 100 per cent', 'leave out localities that get nothing');
    if (sum !== 100) at.error(`the shares add up to ${sum}, not to 100`);
  });
  failover.forEach(({ from = '', to = '' }, i) => {
    if (from === to) field.at('failover', i).error(`${quote(from)} cannot take over from itself`);
    for (const [name, region] of [
      ['from', from],
      ['to', to],
    ] as const) {
      if (region.includes('/') || region.includes('*'))
        field
          .at('failover', i, name)
          .error(`${quote(region)} is no region`, 'zones and wildcards are not for failover');
    }
  });
  if ((failover.length > 0 || failoverPriority.length > 0) && outlier === undefined) {
    field.warn('nobody takes over until somebody knows who fails', 'set outlierDetection too');
  }
}

function isPrime(n: number): boolean {
  if (n < 2) return false;
  for (let i = 2; i * i <= n; i++) if (n % i === 0) return false;
  return true;
}
