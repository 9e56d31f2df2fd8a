/** Flags of `istiod apiserver`. */
import { readCommandLine } from '../../common/config/command-line.ts';
import { type ListenAddress, parseListenAddress } from '../../common/config/listen-address.ts';
import { type ConfigResult, type Settings, SettingsReader, splitList } from '../../common/config/reader.ts';
import { type Cidr, isIpv6, parseCidr } from '../../common/core/net.ts';

export interface ApiServerConfig {
  readonly dataDir: string;
  /** At least one; the kubeconfig names the first. */
  readonly listen: readonly ListenPlace[];
  readonly networks: ClusterNetworks;
}

/** An address, or a listening socket that whoever started this program left open in it. */
export type ListenPlace = ListenAddress | { readonly fd: number };

/** One range a family; the first is of Services and pods that do not choose. */
export interface ClusterNetworks {
  readonly services: readonly Cidr[];
  /** Each node gets a /24 or /64 of them. */
  readonly pods: readonly Cidr[];
}

/** Those of a lab. */
export const defaultNetworks: ClusterNetworks = {
  services: parseRanges('10.96.0.0/16,fd00:10:96::/112')!,
  pods: parseRanges('10.244.0.0/16,fd00:10:244::/48')!,
};

export const apiServerHelp = `istiod apiserver: a Kubernetes API server for one machine

Flags
  --data-dir DIR       keeps all objects, the server's CA and kubeconfig; default ./aquifer-data
  --listen ADDR:PORT   several are separated by commas; default 127.0.0.1:6443. fd:N is a socket that listens already, handed
                       over as descriptor N: clients wait in it while the server is started anew
  --service-cluster-ip-range CIDR,CIDR
                       where addresses of Services are from, one a family; default 10.96.0.0/16,fd00:10:96::/112
  --cluster-cidr CIDR,CIDR
                       where Nodes get the addresses of their pods from: a /24 or /64 each; default
                       10.244.0.0/16,fd00:10:244::/48
Environment
  RUST_LOG, LOG_FORMAT  level (info) and format (plain or json) of the log`;

export const apiServerFlags = ['--data-dir', '--listen', '--service-cluster-ip-range', '--cluster-cidr'] as const;

/** `args` without the command. */
export function parseApiServerConfig(args: readonly string[], env: Settings): ConfigResult<ApiServerConfig> {
  const { flags, words, errors } = readCommandLine(args, apiServerFlags);
  const r = new SettingsReader({ ...env, ...flags });
  for (const error of errors) r.mistake(error);
  for (const extra of words) r.mistake(`unexpected argument ${JSON.stringify(extra)}`);
  const listen = r.parsed('--listen', parseAddresses, 'ADDRESS:PORT or fd:N, several separated by commas');
  const oneAFamily = 'a CIDR, or one of each family separated by a comma';
  const services = r.parsed('--service-cluster-ip-range', parseRanges, oneAFamily);
  const pods = r.parsed('--cluster-cidr', parseRanges, oneAFamily);
  return r.finish<ApiServerConfig>({
    dataDir: r.text('--data-dir') ?? 'aquifer-data',
    listen: listen ?? parseAddresses('127.0.0.1:6443')!,
    networks: { services: services ?? defaultNetworks.services, pods: pods ?? defaultNetworks.pods },
  });
}

function parseAddresses(text: string): readonly ListenPlace[] | undefined {
  const parsed = splitList(text).map(parsePlace);
  const addresses = parsed.filter((a) => a !== undefined);
  return addresses.length === parsed.length && addresses.length > 0 ? addresses : undefined;
}

/** Descriptors below 3 are the standard streams. */
function parsePlace(text: string): ListenPlace | undefined {
  const fd = /^fd:([3-9]|[1-9]\d{1,3})$/.exec(text)?.[1];
  return fd === undefined ? parseListenAddress(text) : { fd: Number(fd) };
}

function parseRanges(text: string): readonly Cidr[] | undefined {
  const parsed = splitList(text).map(parseCidr);
  const ranges = parsed.filter((r) => r !== undefined);
  const families = new Set(ranges.map((r) => isIpv6(r.ip)));
  return ranges.length === parsed.length && ranges.length > 0 && families.size === ranges.length ? ranges : undefined;
}
