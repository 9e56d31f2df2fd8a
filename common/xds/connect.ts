/** Reaching istiod's gRPC port: TLS with roots and a token from where the settings say, files read again for each connection. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { checkServerIdentity, getCACertificates } from 'node:tls';
import { type ChannelCredentials, type ChannelOptions, credentials, Metadata } from '@grpc/grpc-js';
import { maxMessageBytes } from '../api/index.ts';
import { describeError, MeshError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

/** Where PEM roots come from. */
export type Roots =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'pem'; readonly pem: string }
  /** What the operating system trusts. */
  | { readonly kind: 'system' };

export type Token =
  | { readonly kind: 'file'; readonly path: string }
  /** None is sent while the file is not there. */
  | { readonly kind: 'optionalFile'; readonly path: string }
  | { readonly kind: 'literal'; readonly token: string };

export interface ControlPlane {
  /** `https://host:port`, or `http://host:port` for a plain port; without a scheme it is https. */
  readonly address: string;
  /** Roots that its serving certificate must chain to; not read for http. */
  readonly roots: Roots;
  /** Accepted in its certificate besides the host of the address. */
  readonly alternativeName?: string | undefined;
  /** Bearer token; undefined sends none. Never sent without TLS, and then not read. */
  readonly token: Token | undefined;
  /** Sent as `clusterid`. */
  readonly clusterId: string;
  /** Sent besides. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a gRPC client of one connection is made from. */
export interface Connection {
  /** `host:port`. */
  readonly target: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
  readonly metadata: Metadata;
}

/** For the start of a program. */
export function warnOfPlain(address: string, log: Logger): void {
  if (!parseAddress(address).plain) return;
  log.warn('xDS is unauthenticated: the address has no TLS, so anybody on the path can change the mesh; use https://', {
    address,
  });
}

/** MeshError CONFIG when a file cannot be read or holds no certificate. */
export async function controlPlaneConnection(c: ControlPlane): Promise<Connection> {
  const { plain, target } = parseAddress(c.address);
  const metadata = new Metadata();
  metadata.set('clusterid', c.clusterId);
  const token = plain ? undefined : await readToken(c.token);
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  for (const [name, value] of Object.entries(c.headers ?? {})) metadata.set(name, value);
  const channel = plain ? credentials.createInsecure() : await tls(c);
  return { target, credentials: channel, options: channelOptions, metadata };
}

/** A subchannel of its own: the shared ones would keep the old roots, and grpc-js's own back-off would come on top of ours. */
const channelOptions: ChannelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_receive_message_length': maxMessageBytes,
  'grpc.service_config_disable_resolution': 1,
};

function parseAddress(address: string): { readonly plain: boolean; readonly target: string } {
  const m = /^(?:(https?):\/\/)?((?:[^/:[\]]+|\[[^\]]+\]):\d{1,5})$/.exec(address);
  if (!m) throw new MeshError('CONFIG', `control plane address "${address}": expected https://host:port`);
  return { plain: m[1] === 'http', target: m[2]! };
}

async function readToken(token: Token | undefined): Promise<string | undefined> {
  switch (token?.kind) {
    case undefined:
      return undefined;
    case 'literal':
      return token.token;
    case 'file':
      return (await read('token', token.path)).toString('latin1').trim();
    case 'optionalFile':
      return (await readIfThere('token', token.path))?.toString('latin1').trim();
  }
}

async function read(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (e) {
    throw new MeshError('CONFIG', `${what} for the control plane: ${describeError(e)}`, { cause: e });
  }
}

function readIfThere(what: string, path: string): Promise<Buffer | undefined> {
  return read(what, path).catch((e: MeshError) => {
    if ((e.cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw e;
  });
}

async function tls({ roots, alternativeName }: ControlPlane): Promise<ChannelCredentials> {
  const { pem, where } = await readRoots(roots);
  try {
    // OpenSSL skips what is no certificate, and would then trust nobody without saying why.
    new X509Certificate(pem);
    if (alternativeName === undefined) return credentials.createSsl(pem);
    return credentials.createSsl(pem, null, null, {
      checkServerIdentity(host, certificate) {
        const wrong = checkServerIdentity(host, certificate);
        return wrong && checkServerIdentity(alternativeName, certificate) ? wrong : undefined;
      },
    });
  } catch (e) {
    throw new MeshError('CONFIG', `roots for the control plane: ${where} holds no usable certificate`, { cause: e });
  }
}

async function readRoots(roots: Roots): Promise<{ readonly pem: Buffer; readonly where: string }> {
  switch (roots.kind) {
    case 'file':
      return { pem: await read('roots', roots.path), where: roots.path };
    case 'pem':
      return { pem: Buffer.from(roots.pem), where: 'the text of the setting' };
    case 'system':
      return { pem: Buffer.from(getCACertificates('system').join('\n')), where: "the operating system's store" };
  }
}
