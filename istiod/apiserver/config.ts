/** Flags of `istiod apiserver`. */
import { readCommandLine } from '../../common/config/command-line.ts';
import { type ListenAddress, parseListenAddress } from '../../common/config/listen-address.ts';
import { type ConfigResult, type Settings, SettingsReader, splitList } from '../../common/config/reader.ts';

export interface ApiServerConfig {
  readonly dataDir: string;
  /** At least one; the kubeconfig names the first. */
  readonly listen: readonly ListenAddress[];
}

export const apiServerHelp = `istiod apiserver: a Kubernetes API server for one machine

Flags
  --data-dir DIR       keeps all objects, the server's CA and kubeconfig; default ./aquifer-data
  --listen ADDR:PORT   several are separated by commas; default 127.0.0.1:6443
Environment
  RUST_LOG, LOG_FORMAT  level (info) and format (plain or json) of the log`;

/** `args` without the command. */
export function parseApiServerConfig(args: readonly string[], env: Settings): ConfigResult<ApiServerConfig> {
  const { flags, words, errors } = readCommandLine(args, ['--data-dir', '--listen']);
  const r = new SettingsReader({ ...env, ...flags });
  for (const error of errors) r.mistake(error);
  for (const extra of words) r.mistake(`unexpected argument ${JSON.stringify(extra)}`);
  const listen = r.parsed('--listen', parseAddresses, 'ADDRESS:PORT, several separated by commas');
  return r.finish<ApiServerConfig>({
    dataDir: r.text('--data-dir') ?? 'aquifer-data',
    listen: listen ?? parseAddresses('127.0.0.1:6443')!,
  });
}

function parseAddresses(text: string): readonly ListenAddress[] | undefined {
  const parsed = splitList(text).map(parseListenAddress);
  const addresses = parsed.filter((a) => a !== undefined);
  return addresses.length === parsed.length && addresses.length > 0 ? addresses : undefined;
}
