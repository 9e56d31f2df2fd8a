/** Settings as config_dump shows them, under the names of Istio's proxy; ours are under `aquifer`. Tokens and header values are left out. */
import type { Roots } from '../../common/xds/connect.ts';
import type { ZtunnelConfig } from '../config.ts';

export function dumpConfig(c: ZtunnelConfig): object {
  const any = c.ipv6 ? '[::]' : '0.0.0.0';
  const caPlane = c.ca.kind === 'istiod' ? c.ca.plane : undefined;
  const { dnsAddress } = c;
  return {
    proxy: c.proxy,
    dnsProxy: c.dnsProxy,
    windowSize: c.http2.stream,
    connectionWindowSize: c.http2.connection,
    frameSize: c.http2.frame,
    poolMaxStreamsPerConn: c.poolMaxStreams,
    poolUnusedReleaseTimeout: duration(c.poolUnusedRelease),
    adminAddr: `localhost:${c.adminPort}`,
    statsAddr: `${any}:${c.statsPort}`,
    readinessAddr: `${any}:15021`,
    inboundAddr: `${any}:15008`,
    inboundPlaintextAddr: `${any}:15006`,
    outboundAddr: `${any}:15001`,
    socks5Addr: c.socks5 ? '127.0.0.1:15080' : null,
    dnsProxyAddr: `${dnsAddress.kind === 'localhost' ? 'localhost' : dnsAddress.ip}:${dnsAddress.port}`,
    network: c.network,
    localNode: c.nodeName ?? null,
    proxyMode: c.mode.kind === 'shared' ? 'Shared' : 'Dedicated',
    proxyWorkloadInformation: c.mode.kind === 'dedicated' ? c.mode.workload : null,
    clusterId: c.clusterId,
    clusterDomain: c.clusterDomain,
    caAddress: caPlane?.address ?? null,
    caRootCert: caPlane ? dumpRoots(caPlane.roots) : null,
    altCaHostname: caPlane?.alternativeName ?? null,
    caHeaders: Object.keys(caPlane?.headers ?? {}),
    xdsAddress: c.xds?.address ?? null,
    xdsRootCert: c.xds ? dumpRoots(c.xds.roots) : null,
    altXdsHostname: c.xds?.alternativeName ?? null,
    xdsHeaders: Object.keys(c.xds?.headers ?? {}),
    preferedServiceNamespace: c.preferredServiceNamespace ?? null,
    secretTtl: duration(c.secretTtl),
    fakeCa: c.ca.kind === 'fake',
    selfTerminationDeadline: duration(c.drainDeadline),
    proxyMetadata: c.nodeMetadata,
    numWorkerThreads: c.workers,
    requireOriginalSource: c.originalSource === 'auto' ? null : c.originalSource === 'always',
    inpodUds: c.mode.kind === 'shared' ? c.mode.zdsPath : null,
    inpodPortReuse: c.portReuse,
    packetMark: c.packetMark ?? null,
    socketConfig: {
      keepaliveEnabled: c.keepAlive !== undefined,
      ...(c.keepAlive && {
        keepaliveTime: duration(c.keepAlive.idle * 1000),
        keepaliveInterval: duration(c.keepAlive.interval * 1000),
        keepaliveRetries: c.keepAlive.probes,
      }),
      userTimeoutEnabled: c.userTimeout !== undefined,
    },
    localhostAppTunnel: c.localhostAppTunnel,
    ztunnelWorkload: c.self ?? null,
    ipv6Enabled: c.ipv6,
    crlPath: c.crlFile ?? null,
    enableEnhancedBaggage: c.responseBaggage,
    aquifer: {
      engine: c.engine,
      maxDescriptors: c.maxDescriptors,
      workerUid: c.workerUid,
      compat: [...c.compat],
      tls: c.tls,
      logPolicyDecisions: c.logPolicyDecisions,
    },
  };
}

function dumpRoots(roots: Roots): unknown {
  switch (roots.kind) {
    case 'file':
      return { File: roots.path };
    case 'pem':
      return { Static: null };
    case 'system':
      return 'Default';
  }
}

/** As Rust's serde writes one. */
function duration(ms: number): { readonly secs: number; readonly nanos: number } {
  return { secs: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 };
}
