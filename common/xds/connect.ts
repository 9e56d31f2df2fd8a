/** Reaching istiod's gRPC port: TLS with the roots of a file, the token of another, both read again for each connection. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type ChannelCredentials, type ChannelOptions, credentials, Metadata } from '@grpc/grpc-js';
import { maxMessageBytes } from '../api/index.ts';
import { describeError, MeshError } from '../core/errors.ts';
import type { Logger } from '../core/log.ts';

export interface ControlPlane {
  /** `https://host:port`, or `http://host:port` for a plain port; without a scheme it is https. */
  readonly address: string;
  /** PEM roots that its serving certificate must chain to; not read for http. */
  readonly rootFile: string;
  /** Bearer token; undefined sends none. Never sent without TLS, and then not read. */
  readonly tokenFile: string | undefined;
  /** Sent as `clusterid`. */
  readonly clusterId: string;
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
  if (!plain && c.tokenFile !== undefined) {
    metadata.set('authorization', `Bearer ${(await read('token', c.tokenFile)).toString('latin1').trim()}`);
  }
  const channel = plain ? credentials.createInsecure() : tls(await read('roots', c.rootFile), c.rootFile);
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

async function read(what: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (e) {
    throw new MeshError('CONFIG', `${what} for the control plane: ${describeError(e)}`, { cause: e });
  }
}

function tls(roots: Buffer, path: string): ChannelCredentials {
  try {
    // OpenSSL skips what is no certificate, and would then trust nobody without saying why.
    new X509Certificate(roots);
    return credentials.createSsl(roots);
  } catch (e) {
    throw new MeshError('CONFIG', `roots for the control plane: ${path} holds no usable certificate`, { cause: e });
  }
}
