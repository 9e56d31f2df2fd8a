/** envoy.config.rbac.v3.Policy: trees of permissions and principals as predicates over one request. */

import { matchesCidr } from '../../../common/authz/matchers.ts';
import { type Cidr, type Ip, ipToBytes } from '../../../common/core/net.ts';
import { type Fields, readCidr } from '../../../common/envoy/fields.ts';
import { readHeader } from '../../match/header.ts';
import { readMetadata } from '../../match/metadata.ts';
import { readString } from '../../match/string.ts';
import { readTemplate } from '../../match/template.ts';
import { withoutQuery } from '../../request/path.ts';
import { type Address, headerOf, type RequestView } from '../../request/view.ts';

export type RequestTest = (view: RequestView) => boolean;

/** Any of the permissions, and any of the principals. */
export function readPolicy(fields: Fields): RequestTest {
  const permissions = fields.readAll('permissions', readPermission);
  const principals = fields.readAll('principals', readPrincipal);
  if (permissions.length === 0) throw fields.refusal('permissions', 'is empty');
  if (principals.length === 0) throw fields.refusal('principals', 'is empty');
  return (view) => permissions.some((test) => test(view)) && principals.some((test) => test(view));
}

const permissionKinds = [
  'and_rules',
  'or_rules',
  'any',
  'header',
  'url_path',
  'destination_ip',
  'destination_port',
  'destination_port_range',
  'metadata',
  'not_rule',
  'requested_server_name',
  'uri_template',
  'matcher',
] as const;

function readPermission(fields: Fields): RequestTest {
  const which = fields.which(...permissionKinds);
  switch (which) {
    case 'and_rules':
      return every(fields.required(which, (f) => readSet(f, 'rules', readPermission)));
    case 'or_rules':
      return some(fields.required(which, (f) => readSet(f, 'rules', readPermission)));
    case 'not_rule':
      return not(fields.required(which, readPermission));
    case 'any':
      return any(fields);
    case 'header':
      return fields.required(which, headerTest);
    case 'url_path':
      return fields.required(which, pathTest);
    case 'metadata':
      return fields.required(which, metadataTest);
    case 'destination_ip':
      return addressTest(fields.required(which, readCidr), ({ connection }) => connection.local);
    case 'destination_port': {
      const port = fields.number(which, 0, 65_535);
      return ({ connection }) => connection.local.port === port;
    }
    case 'destination_port_range':
      return fields.required(which, (f) => {
        const [start, end] = [f.number('start'), f.number('end')];
        if (start >= end) throw f.refusal('start', `${start} is not below the end, ${end}`);
        return ({ connection }) => connection.local.port >= start && connection.local.port < end;
      });
    case 'requested_server_name': {
      const test = fields.required(which, readString);
      return ({ connection }) => test(connection.sni ?? '');
    }
    case 'uri_template': {
      const template = fields.required(which, readTemplate);
      return (view) => view.path !== '' && template.matches(withoutQuery(view.path));
    }
    case 'matcher':
      throw fields.unsupported(which);
    case undefined:
      throw fields.refusal('rule', 'is missing');
  }
}

const principalKinds = [
  'and_ids',
  'or_ids',
  'any',
  'authenticated',
  'source_ip',
  'direct_remote_ip',
  'remote_ip',
  'header',
  'url_path',
  'metadata',
  'filter_state',
  'not_id',
] as const;

function readPrincipal(fields: Fields): RequestTest {
  const which = fields.which(...principalKinds);
  switch (which) {
    case 'and_ids':
      return every(fields.required(which, (f) => readSet(f, 'ids', readPrincipal)));
    case 'or_ids':
      return some(fields.required(which, (f) => readSet(f, 'ids', readPrincipal)));
    case 'not_id':
      return not(fields.required(which, readPrincipal));
    case 'any':
      return any(fields);
    case 'authenticated':
      return fields.required(which, readAuthenticated);
    case 'source_ip':
      return addressTest(fields.required(which, readCidr), ({ connection }) => connection.source);
    case 'direct_remote_ip':
      return addressTest(fields.required(which, readCidr), ({ connection }) => connection.directRemote);
    case 'remote_ip':
      return addressTest(fields.required(which, readCidr), ({ connection }) => connection.remote);
    case 'header':
      return fields.required(which, headerTest);
    case 'url_path':
      return fields.required(which, pathTest);
    case 'metadata':
      return fields.required(which, metadataTest);
    case 'filter_state':
      return fields.required(which, (f) => {
        const key = f.text('key');
        const test = f.required('string_match', readString);
        return ({ connection }) => {
          const value = connection.filterState.get(key);
          return value !== undefined && test(value);
        };
      });
    case undefined:
      throw fields.refusal('identifier', 'is missing');
  }
}

/** URI SANs count before DNS SANs, these before the subject; of a connection without TLS none. */
function readAuthenticated(fields: Fields): RequestTest {
  const test = fields.read('principal_name', readString);
  return ({ connection }) => {
    const { tls, peerCertificate, principal, dnsNames = [], subject } = connection;
    if (!tls || peerCertificate === undefined) return false;
    if (test === undefined) return true;
    if (principal !== undefined) return test(principal);
    return dnsNames.length > 0 ? dnsNames.some(test) : test(subject ?? '');
  };
}

function readSet(fields: Fields, name: string, read: (fields: Fields) => RequestTest): readonly RequestTest[] {
  const tests = fields.readAll(name, read);
  if (tests.length === 0) throw fields.refusal(name, 'is empty');
  return tests;
}

function any(fields: Fields): RequestTest {
  if (!fields.flag('any')) throw fields.refusal('any', 'must be true');
  return () => true;
}

function every(tests: readonly RequestTest[]): RequestTest {
  return (view) => tests.every((test) => test(view));
}

function some(tests: readonly RequestTest[]): RequestTest {
  return (view) => tests.some((test) => test(view));
}

function not(test: RequestTest): RequestTest {
  return (view) => !test(view);
}

function headerTest(fields: Fields): RequestTest {
  const header = readHeader(fields);
  return (view) => header.matches((name) => headerOf(view, name));
}

function pathTest(fields: Fields): RequestTest {
  const test = fields.required('path', readString);
  return (view) => view.path !== '' && test(withoutQuery(view.path));
}

function metadataTest(fields: Fields): RequestTest {
  const test = readMetadata(fields);
  return (view) => test(view.metadata);
}

function addressTest(cidr: Cidr, of: (view: RequestView) => Address): RequestTest {
  return (view) => {
    const { address } = of(view);
    return address !== '' && matchesCidr(cidr, ipToBytes(address as Ip));
  };
}
