/** Programs in Go that the tests drive: helm, and ours on Kubernetes', gRPC's and OpenTelemetry's modules. scripts/build-go.ts builds them. */
import { createHash } from 'node:crypto';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from '../../lab/config.ts';

/** The module that pins it, and the package in it. */
export const goPrograms = {
  helm: { folder: join(import.meta.dirname, '../helm'), main: 'helm.sh/helm/v3/cmd/helm' },
  'client-go': { folder: join(import.meta.dirname, '../client-go'), main: '.' },
  'grpc-interop': { folder: join(import.meta.dirname, '../grpc-interop'), main: '.' },
  h2spec: { folder: join(import.meta.dirname, '../h2spec'), main: 'github.com/summerwind/h2spec/cmd/h2spec' },
  otelcol: { folder: join(import.meta.dirname, '../otelcol'), main: '.' },
  'definition-check': { folder: join(import.meta.dirname, '../definition-check'), main: '.' },
} as const;

export type GoProgram = keyof typeof goPrograms;

/** In the cache folder, by what it is made of. */
export function goProgramPath(name: GoProgram): string {
  const { folder } = goPrograms[name];
  const hash = createHash('sha256');
  for (const file of globSync('{go.mod,go.sum,*.go}', { cwd: folder }).sort())
    hash.update(readFileSync(join(folder, file)));
  return join(cacheFolder(), 'programs', `${name}-${hash.digest('hex').slice(0, 16)}`, name);
}

/** As a `skip` option. */
export function skipWithoutGoPrograms(...names: readonly GoProgram[]): string | false {
  const missing = names.filter((name) => !existsSync(goProgramPath(name)));
  if (missing.length === 0) return false;
  const reason = `${missing.join(', ')} not built: scripts/pinned-node scripts/build-go.ts`;
  if (process.env['REQUIRE_ALL'] === '1') throw new Error(`REQUIRE_ALL=1, and these tests cannot run: ${reason}`);
  return reason;
}
