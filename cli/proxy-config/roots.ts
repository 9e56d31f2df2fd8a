/** `aquifer proxy-config rootca-compare`: whether two proxies trust a root in common. */
import { X509Certificate } from 'node:crypto';
import { MeshError } from '../../common/core/errors.ts';
import { OperandError, oneOf, readArguments } from '../arguments.ts';
import { print, printAs } from '../print.ts';
import { type EnvoyDump, get, parseEnvoyDump } from './dump.ts';
import { options } from './options.ts';
import { adminPage } from './run.ts';

/** SHA-256 of each certificate of the secret ROOTCA. MeshError NOT_FOUND. */
export function rootsOf(from: string, { secrets }: EnvoyDump): ReadonlySet<string> {
  const found = secrets.find(({ name }) => name === 'ROOTCA');
  const encoded = get(found?.secret, 'validation_context', 'trusted_ca', 'inline_bytes');
  const pem = typeof encoded === 'string' ? Buffer.from(encoded, 'base64').toString('utf8') : '';
  const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (certificates.length === 0)
    throw new MeshError('NOT_FOUND', `${from} has no secret ROOTCA yet; aquifer proxy-config secret shows what it has`);
  return new Set(certificates.map((text) => new X509Certificate(text).fingerprint256));
}

/** One in common is enough for each to prove itself to the other while a root is replaced. As istioctl: 1 where there is none. */
export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('proxy-config rootca-compare', args, options['rootca-compare']);
  const format = oneOf('--output', values.output, 'short', 'json', 'yaml');
  const [first, second, ...more] = positionals;
  if (first === undefined || second === undefined || more.length > 0)
    throw new OperandError('aquifer proxy-config rootca-compare: expected two pods');
  const [one, other] = await Promise.all(
    [first, second].map(async (name) => {
      const { from, text } = await adminPage(values, name, '/config_dump');
      return { from, roots: rootsOf(from, parseEnvoyDump(from, text)) };
    }),
  );
  if ([...one!.roots].every((root) => !other!.roots.has(root)))
    throw new MeshError(
      'CONFIG',
      `${one!.from} and ${other!.from} trust no root in common: neither takes the other's certificate; aquifer check says which proxies have which`,
    );
  const said = `${one!.from} and ${other!.from} trust a root in common: each takes the other's certificate`;
  if (format === 'short') print(said);
  else await printAs(format, { match: true, message: said });
  return 0;
}
