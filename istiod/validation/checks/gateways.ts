/** Istio's Gateway, and TLS of servers (Sidecar has it too). */
import type { IstioGateway } from '../../../common/kube/kinds/istio/istio-gateway.ts';
import type { Field } from '../finding.ts';
import {
  checkPort,
  checkProtocol,
  checkWildcardName,
  forRepeated,
  isDnsLabel,
  isHttp,
  isTls,
  quote,
} from './values.ts';

type Server = NonNullable<IstioGateway['spec']['servers']>[number];
type ServerTls = NonNullable<Server['tls']>;

export function checkIstioGateway({ spec = {} }: Partial<IstioGateway>, root: Field): void {
  const field = root.at('spec');
  const { servers = [] } = spec;
  if (servers.length === 0) field.at('servers').error('a gateway serves something: a server is expected');
  forRepeated(
    servers,
    (s) => s.port.name,
    ({ port }, i) =>
      field
        .at('servers', i, 'port', 'name')
        .error(`${quote(port.name)} is the name of another port`, 'names of ports are unique'),
  );
  field.each('servers', servers, checkServer);
}

function checkServer({ port, hosts, bind, tls }: Server, field: Field): void {
  if (hosts.length === 0) field.at('hosts').error('a host is expected; "*" is all');
  field.each('hosts', hosts, checkHost);
  checkProtocol(port.protocol, field.at('port', 'protocol'));
  if (bind?.startsWith('unix://')) {
    if (port.number !== 0) field.at('port', 'number').error('a unix socket has no port', 'write 0');
  } else checkPort(port.number, field.at('port', 'number'));
  if (port.name === '') field.at('port', 'name').error('must not be empty');
  if (port.targetPort !== undefined && port.targetPort !== 0)
    field.at('port', 'targetPort').error('has no effect here', 'remove it');
  if (isTls(port.protocol) && tls === undefined) {
    field.error(`protocol ${port.protocol} needs tls`, 'add tls with a mode and a credentialName');
  } else if (tls !== undefined && !isTls(port.protocol)) {
    const redirects =
      isHttp(port.protocol) &&
      (tls.mode === undefined || tls.mode === 'PASSTHROUGH') &&
      !tls.privateKey &&
      !tls.serverCertificate &&
      !tls.caCertificates;
    if (!redirects)
      field.at('tls').error(`protocol ${port.protocol} has no TLS`, 'remove it, or set protocol: HTTPS or TLS');
  }
  if (tls?.httpsRedirect && !isHttp(port.protocol)) {
    field
      .at('tls', 'httpsRedirect')
      .warn(`only plain HTTP can be redirected, and this is ${port.protocol}`, 'set it at the server of plain HTTP');
  }
  if (tls !== undefined) checkServerTls(tls, field.at('tls'));
}

/** `name`, `namespace/name`, `./name`, `*​/name`. */
function checkHost(host: string, field: Field): void {
  const [first = '', second, ...more] = host.split('/');
  if (second === undefined) checkWildcardName(first, field);
  else {
    if (more.length > 0 || (first !== '*' && first !== '.' && !isDnsLabel(first))) {
      field.error(
        `${quote(host)} is no host`,
        'expected a name, or a namespace, "." or "*" with "/" and a name behind',
      );
    }
    checkWildcardName(second, field);
  }
}

export function checkServerTls(tls: ServerTls, field: Field): void {
  const { mode = 'PASSTHROUGH' } = tls;
  const sources = [
    tls.serverCertificate && tls.privateKey ? 'serverCertificate' : '',
    tls.credentialName ? 'credentialName' : '',
    (tls.credentialNames?.length ?? 0) > 0 ? 'credentialNames' : '',
    (tls.tlsCertificates?.length ?? 0) > 0 ? 'tlsCertificates' : '',
  ].filter((s) => s !== '');
  if (['TLSV1_0', 'TLSV1_1'].includes(tls.minProtocolVersion ?? '') && (tls.cipherSuites ?? []).length === 0) {
    field
      .at('minProtocolVersion')
      .warn('no cipher of such old TLS is on by itself', 'name cipherSuites, or set TLSV1_2');
  }
  forRepeated(
    tls.cipherSuites ?? [],
    (c) => c,
    (cipher, i) => field.at('cipherSuites', i).warn(`${quote(cipher)} is in the list already`, 'remove it'),
  );
  switch (mode) {
    case 'ISTIO_MUTUAL':
      for (const name of [
        'serverCertificate',
        'privateKey',
        'caCertificates',
        'credentialName',
        'credentialNames',
        'tlsCertificates',
      ] as const) {
        if ((tls[name]?.length ?? 0) > 0)
          field.at(name).error('mode ISTIO_MUTUAL uses the certificates of the mesh', 'remove it');
      }
      return;
    case 'PASSTHROUGH':
    case 'AUTO_PASSTHROUGH':
      if (sources.length > 0 || tls.caCrl || tls.caCertificates)
        field.warn(
          `TLS does not end here with mode ${mode}, so its certificates are not used`,
          'set mode: SIMPLE or MUTUAL',
        );
      return;
    case 'SIMPLE':
    case 'MUTUAL':
    case 'OPTIONAL_MUTUAL':
      if (sources.length > 1) field.error(`certificates come from ${sources.join(' and ')}`, 'keep one of them');
      if (tls.caCrl && (tls.credentialName || mode === 'SIMPLE')) {
        field
          .at('caCrl')
          .error(
            mode === 'SIMPLE'
              ? 'mode SIMPLE asks clients for no certificate'
              : 'revocations are in the Secret, as ca.crl',
            'remove it',
          );
      }
      if (tls.credentialName || (tls.credentialNames?.length ?? 0) > 0) return;
      if (mode !== 'SIMPLE' && !tls.caCertificates)
        field.error(`mode ${mode} needs the authorities of clients`, 'set caCertificates or credentialName');
      checkFiles(tls, field);
  }
}

function checkFiles({ tlsCertificates, serverCertificate, privateKey }: ServerTls, field: Field): void {
  const pairs = tlsCertificates ?? [{ serverCertificate, privateKey }];
  pairs.forEach((pair, i) => {
    const at = tlsCertificates === undefined ? field : field.at('tlsCertificates', i);
    if (!pair.serverCertificate) at.error('a certificate is expected', 'set credentialName, or serverCertificate');
    if (!pair.privateKey) at.error('the key of the certificate is expected', 'set credentialName, or privateKey');
  });
}
