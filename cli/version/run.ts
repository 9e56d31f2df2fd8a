/** `aquifer version`: lines and JSON as istioctl's. */
import { gitRevision, version } from '../../common/core/version.ts';
import { noOperands, oneOf, readArguments } from '../arguments.ts';
import { print, printAs } from '../print.ts';
import { options } from './options.ts';

interface Build {
  readonly version: string;
  readonly revision: string;
}

const client: Build = { version, revision: gitRevision };

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('version', args, options);
  noOperands('version', positionals);
  const format = values.output === undefined ? undefined : oneOf('--output', values.output, 'json', 'yaml');
  if (values.client || !values.remote) {
    if (format === undefined) print(clientLine(values.short));
    else await printAs(format, { clientVersion: client });
    return 0;
  }
  if (format === undefined) print(clientLine(values.short));
  const { remoteVersions } = await import('./remote.ts');
  const remote = await remoteVersions(values, process.env);
  if (format !== undefined) await printAs(format, { clientVersion: client, ...remote });
  else for (const line of linesOf(remote, values.short)) print(line);
  return 0;
}

function clientLine(short: boolean): string {
  return short ? `client version: ${client.version}` : `client version: ${textOf(client)}`;
}

export interface RemoteVersions {
  readonly meshVersion: readonly { readonly Component: string; readonly Revision: string; readonly Info: Build }[];
  readonly dataPlaneVersion: readonly { readonly ID: string; readonly IstioVersion: string }[];
}

/** Pure. */
export function linesOf({ meshVersion, dataPlaneVersion }: RemoteVersions, short: boolean): readonly string[] {
  const planes = short
    ? [`control plane version: ${[...new Set(meshVersion.map((v) => v.Info.version))].join(', ')}`]
    : meshVersion.map((v) => `${v.Component} version (${v.Revision}): ${textOf(v.Info)}`);
  const counts = new Map<string, number>();
  for (const { IstioVersion: v } of dataPlaneVersion) counts.set(v, (counts.get(v) ?? 0) + 1);
  const proxies = [...counts].map(([v, n]) => `${v} (${n} proxies)`);
  return [...planes, `data plane version: ${proxies.length === 0 ? 'none' : proxies.join(', ')}`];
}

function textOf({ version: v, revision }: Build): string {
  return `version ${v}, revision ${revision}`;
}
