/** Flags of `istiod --standalone`: those of the API server and of discovery together, and its own. */
import { join } from 'node:path';
import { readCommandLine } from '../../common/config/command-line.ts';
import { type ConfigResult, type Settings, SettingsReader } from '../../common/config/reader.ts';
import { type ApiServerConfig, apiServerFlags, parseApiServerConfig } from '../apiserver/config.ts';
import { kubeconfigFile } from '../apiserver/pki/kubeconfig.ts';
import { discoveryFlags, type IstiodConfig, parseConfig } from '../config.ts';
import { standaloneFlag } from './flag.ts';

export interface StandaloneConfig {
  readonly apiServer: ApiServerConfig;
  readonly discovery: IstiodConfig;
  /** Absolute or relative to the working directory; undefined: nothing is applied. */
  readonly manifests: string | undefined;
}

const manifestsFlag = '--manifests';

export const standaloneHelp = `istiod --standalone: a Kubernetes API server and discovery in one process

Flags
  --manifests DIR        applies the *.yaml and *.yml in it, at any depth, and follows their changes: a deleted file deletes what was
                         applied from it
  and those of istiod apiserver and istiod discovery (--help); discovery keeps its data in DATA-DIR/istiod unless AQUIFER_DATA_DIR
  names another folder`;

export function parseStandaloneConfig(args: readonly string[], env: Settings): ConfigResult<StandaloneConfig> {
  const own = args.filter((arg, i) => arg !== standaloneFlag && !(i === 0 && arg === 'discovery'));
  const { flags, words, errors } = readCommandLine(own, [...apiServerFlags, ...discoveryFlags, manifestsFlag]);
  const given = (names: readonly string[]): string[] =>
    Object.entries(flags).flatMap(([name, value]) =>
      names.includes(name) && value !== undefined ? [`${name}=${value}`] : [],
    );
  const r = new SettingsReader(flags);
  for (const error of errors) r.mistake(error);
  for (const extra of words.filter((w) => w !== 'discovery')) r.mistake(`unexpected argument ${JSON.stringify(extra)}`);
  if (r.text('--kubeconfig') !== undefined) r.mistake('--kubeconfig and --standalone exclude each other');
  const apiServer = parseApiServerConfig(given(apiServerFlags), env);
  const dataDir = apiServer.kind === 'ok' ? apiServer.config.dataDir : '';
  // Discovery finds the API server as any client does: by the kubeconfig.
  const discovery = parseConfig(['discovery', ...given(discoveryFlags)], {
    AQUIFER_DATA_DIR: join(dataDir, 'istiod'),
    ...env,
    KUBECONFIG: join(dataDir, kubeconfigFile),
  });
  const mistakes = [apiServer, discovery].flatMap((c) => (c.kind === 'invalid' ? c.errors : []));
  for (const mistake of new Set(mistakes)) r.mistake(mistake);
  const manifests = r.text(manifestsFlag);
  const finished = r.finish({ manifests });
  if (finished.kind === 'invalid' || apiServer.kind !== 'ok' || discovery.kind !== 'ok')
    return { kind: 'invalid', errors: finished.kind === 'invalid' ? finished.errors : [] };
  const { sink } = apiServer;
  return { kind: 'ok', config: { apiServer: apiServer.config, discovery: discovery.config, manifests }, sink };
}
