/** How connections to a service are made and kept: parts of DestinationRule, and of Sidecar. */
import {
  about,
  boolean,
  double,
  int32,
  integer,
  list,
  map,
  object,
  oneOf,
  orNull,
  string,
  type TypeOf,
  where,
} from '../../schema/types.ts';
import { anyDuration, duration, uint32 } from './common.ts';

export const connectionPool = about(
  'Limits of connections and requests.',
  object({
    tcp: about(
      'Of connections.',
      object({
        maxConnections: about('Most connections to an endpoint.', int32),
        connectTimeout: about('How long connecting may take. Default 10s.', duration),
        tcpKeepalive: about(
          'Keep-alive of the sockets.',
          object({
            probes: about('Probes without an answer until the connection counts as dead.', uint32),
            time: about('Idle time until the first probe.', duration),
            interval: about('Time between probes.', duration),
          }),
        ),
        maxConnectionDuration: about('How old a connection may become.', duration),
        idleTimeout: about('How long a connection may be idle. Default 1h; 0s: for ever.', anyDuration),
      }),
    ),
    http: about(
      'Of requests.',
      object({
        http1MaxPendingRequests: about('Most requests that wait for a connection.', int32),
        http2MaxRequests: about('Most requests at a time.', int32),
        maxRequestsPerConnection: about('Most requests of a connection; 1 turns keep-alive off.', int32),
        maxRetries: about('Most retries at a time.', int32),
        idleTimeout: about('How long a connection without requests stays. Default 1h.', duration),
        h2UpgradePolicy: about('Whether HTTP/1.1 becomes HTTP/2.', oneOf('DEFAULT', 'DO_NOT_UPGRADE', 'UPGRADE')),
        useClientProtocol: about('Speak what the client speaks.', boolean),
        maxConcurrentStreams: about('Most streams of an HTTP/2 connection.', int32),
        http2KeepAlive: about(
          'PING frames of idle HTTP/2 connections.',
          object({
            interval: about('Time between them.', duration),
            timeout: about('How long an answer may take.', duration),
          }),
        ),
      }),
    ),
  }),
);

const failover = list(
  object({ from: about('Region that fails.', string()), to: about('Region that takes over.', string()) }),
);
const failoverPriority = about('Labels whose equality makes an endpoint preferred, in order.', list(string()));

const consistentHash = object(
  {
    httpHeaderName: about('Hash of this header.', string()),
    httpCookie: about(
      'Hash of this cookie, which is made where there is none.',
      object({
        'name!': about('Name of the cookie.', string()),
        path: about('Path of the cookie.', string()),
        ttl: about('Lifetime of the cookie.', anyDuration),
        attributes: about('Further attributes of the cookie.', list(object({ 'name!': string(), value: string() }))),
      }),
    ),
    useSourceIp: about('Hash of the source address.', boolean),
    httpQueryParameterName: about('Hash of this query parameter.', string()),
    ringHash: object({ minimumRingSize: about('Points on the ring. Default 1024.', integer(0)) }),
    maglev: object({ tableSize: about('Size of the table, a prime. Default 65537.', integer(0)) }),
    minimumRingSize: about('Older place of ringHash.minimumRingSize.', integer(0)),
  },
  {
    atMostOneOf: [
      ['httpHeaderName', 'httpCookie', 'useSourceIp', 'httpQueryParameterName'],
      ['ringHash', 'maglev'],
    ],
  },
);
export type ConsistentHash = TypeOf<typeof consistentHash>;

const loadBalancer = about(
  'Which endpoint a connection or request goes to.',
  object(
    {
      simple: about(
        'An algorithm without settings. Default LEAST_REQUEST.',
        oneOf('UNSPECIFIED', 'LEAST_CONN', 'RANDOM', 'PASSTHROUGH', 'ROUND_ROBIN', 'LEAST_REQUEST'),
      ),
      consistentHash: about('The same key goes to the same endpoint.', consistentHash),
      backendUtilization: about(
        'By the load that endpoints report.',
        object({
          weightUpdatePeriod: about('Time between changes of weights.', anyDuration),
          weightStabilizationPeriod: about('How long an endpoint has to report first.', anyDuration),
          weightExpirationPeriod: about('How long a report holds.', anyDuration),
          errorUtilizationPenaltyPercent: about('How much errors count as load.', uint32),
          metricNamesForComputingUtilization: about('Metrics that are the load.', list(string())),
        }),
      ),
      localityLbSetting: about(
        'Regions and zones; in place of those of the mesh.',
        object({
          enabled: about('Whether regions and zones count.', orNull(boolean)),
          distribute: about(
            'Shares of the load, by the source.',
            list(
              object({
                from: about('Region, zone and sub-zone of the source, with "/" between; * at the end.', string()),
                to: about('Per cent of the load, by region, zone and sub-zone.', map(uint32)),
              }),
            ),
          ),
          failover: about('Which region takes over.', failover),
          failoverPriority,
        }),
      ),
      zoneAwareLbSetting: about(
        "Zones, weighted by the sources' own.",
        object({
          enabled: about('Whether zones count.', orNull(boolean)),
          minClusterSize: about('Endpoints from which on zones count.', orNull(integer(1, 4_294_967_295))),
          failover: about('Which region takes over.', failover),
          failoverPriority,
        }),
      ),
      warmupDurationSecs: about('Older form of warmup.duration.', duration),
      warmup: about(
        'A new endpoint gets its share bit by bit.',
        object({
          'duration!': about('Until it gets all of it.', duration),
          minimumPercent: about('Share that it begins with. Default 10.', orNull(double(0, 100))),
          aggression: about('Shape of the rise; 1 is a straight line.', orNull(double(0))),
        }),
      ),
    },
    { atMostOneOf: [['simple', 'consistentHash', 'backendUtilization']] },
  ),
);

const outlierDetection = about(
  'Endpoints that fail get nothing for a while.',
  object({
    consecutiveErrors: about('Older form of consecutive5xxErrors.', int32),
    splitExternalLocalOriginErrors: about('Count failures to connect apart from answers.', boolean),
    consecutiveLocalOriginFailures: about('Failures to connect in a row. Default 5.', orNull(uint32)),
    consecutiveGatewayErrors: about('Answers 502, 503 and 504 in a row; 0: off.', orNull(uint32)),
    consecutive5xxErrors: about('Answers 5xx in a row. Default 5; 0: off.', orNull(uint32)),
    interval: about('Time between two looks. Default 10s.', duration),
    baseEjectionTime: about('Time for the first failure; the second takes twice it. Default 30s.', duration),
    maxEjectionPercent: about('Most endpoints that are left out, in per cent. Default 10.', int32),
    minHealthPercent: about('Share of healthy endpoints below which all are used.', int32),
    outlierDetectionHttpErrorCodes: about('Status codes that count as failures.', list(integer(100, 599))),
  }),
);

const clientTls = about(
  'TLS towards the endpoints.',
  object({
    mode: about('Whose certificate is shown, if any.', oneOf('DISABLE', 'SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL')),
    clientCertificate: about('File of the certificate that is shown.', string()),
    privateKey: about('File of its key.', string()),
    caCertificates: about('File of the authorities.', string()),
    credentialName: about('Secret with the three, in place of files.', string()),
    subjectAltNames: about("Names that the endpoint's certificate may have.", list(string())),
    sni: about('Name that is asked for.', string()),
    insecureSkipVerify: about('Take any certificate. Whoever answers is believed.', orNull(boolean)),
    caCrl: about('File of revoked certificates.', string()),
  }),
);

const policyFields = { loadBalancer, connectionPool, outlierDetection, tls: clientTls };

export const trafficPolicy = object({
  ...policyFields,
  portLevelSettings: about(
    'In place of the settings above, for single ports.',
    list(object({ port: object({ number: uint32 }), ...policyFields }), { maxItems: 4096 }),
  ),
  tunnel: about(
    'TCP and TLS routes go through an HTTP proxy.',
    object({
      protocol: about('CONNECT or POST. Default CONNECT.', string()),
      'targetHost!': about('Name or address that the proxy is asked for.', string()),
      'targetPort!': about('Port that the proxy is asked for.', uint32),
    }),
  ),
  proxyProtocol: about('Begin connections with PROXY protocol.', object({ version: oneOf('V1', 'V2') })),
  retryBudget: about(
    'Most retries, relative to requests.',
    object({
      percent: about('Share of the requests at a time. Default 20.', orNull(double(0, 100))),
      minRetryConcurrency: about('Retries at a time that are always allowed. Default 3.', uint32),
      budgetInterval: about('Time over which requests are counted.', anyDuration),
    }),
  ),
});

export const certificateNames = (what: string) => about(what, list(string(), { minItems: 1, maxItems: 2 }));

/** TLS of a server: a Gateway's, and an ingress listener's of a Sidecar. */
export const serverTls = where(
  where(
    about(
      'TLS of the server.',
      object({
        httpsRedirect: about('Answer plain HTTP with a redirect.', boolean),
        mode: about(
          'What is asked of clients, and whether TLS ends here.',
          oneOf('PASSTHROUGH', 'SIMPLE', 'MUTUAL', 'AUTO_PASSTHROUGH', 'ISTIO_MUTUAL', 'OPTIONAL_MUTUAL'),
        ),
        serverCertificate: about('File of the certificate.', string()),
        privateKey: about('File of its key.', string()),
        caCertificates: about("File of the authorities of clients' certificates.", string()),
        caCrl: about('File of revoked certificates.', string()),
        credentialName: about('Secret with the certificate and its key.', string()),
        credentialNames: certificateNames('Secrets of an RSA and an ECDSA certificate.'),
        caCertCredentialName: about('Secret with the authorities.', string()),
        tlsCertificates: about(
          'Files of an RSA and an ECDSA certificate.',
          list(object({ serverCertificate: string(), privateKey: string(), caCertificates: string() }), {
            minItems: 1,
            maxItems: 2,
          }),
        ),
        subjectAltNames: about("Names that a client's certificate may have.", list(string())),
        verifyCertificateSpki: about('Hashes of keys that a client may have.', list(string())),
        verifyCertificateHash: about('Hashes of certificates that a client may have.', list(string())),
        minProtocolVersion: about(
          'Oldest TLS. Default 1.2.',
          oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3'),
        ),
        maxProtocolVersion: about('Newest TLS.', oneOf('TLS_AUTO', 'TLSV1_0', 'TLSV1_1', 'TLSV1_2', 'TLSV1_3')),
        cipherSuites: about('Ciphers of TLS 1.2, as OpenSSL names them.', list(string())),
        ecdhCurves: about('Curves of the key exchange.', list(string())),
        insecureSkipVerify: about('Take any certificate of a client.', orNull(boolean)),
      }),
    ),
    '!(has(self.tlsCertificates) && has(self.credentialNames))',
    'certificates come from files or from Secrets: keep tlsCertificates or credentialNames',
  ),
  '!(has(self.credentialName) && has(self.credentialNames))',
  'credentialName is one Secret and credentialNames two: keep one of the two',
);
