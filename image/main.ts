/** `npm run image -- --rootfs DIR`: the root file system of the one image. Exit codes: 0, 1 failed, 2 wrong use. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { describeError, MeshError } from '../common/core/errors.ts';
import { checkout } from '../lab/config.ts';
import { tryRun } from '../lab/system/run.ts';
import { buildImage } from './build.ts';

const usage = `usage: npm run image -- --rootfs DIR
  DIR is a folder that is not there yet, or empty. SOURCE_DATE_EPOCH: seconds since 1970, the time of all files; by
  default that of the last commit.
`;

function rootfsOf(args: readonly string[]): string | undefined {
  try {
    const { values } = parseArgs({ args: [...args], options: { rootfs: { type: 'string' } } });
    return values.rootfs;
  } catch {
    return undefined;
  }
}

/** MeshError CONFIG. */
async function timeOfSources(): Promise<number> {
  const set = process.env['SOURCE_DATE_EPOCH'];
  const commit = await tryRun(['git', '-C', checkout, 'log', '-1', '--format=%ct']);
  const text = set ?? commit.stdout.trim();
  if (/^\d{1,12}$/.test(text)) return Number(text);
  if (set !== undefined)
    throw new MeshError('CONFIG', `SOURCE_DATE_EPOCH: "${set}" is no number of seconds since 1970`);
  throw new MeshError('CONFIG', 'this checkout has no commits to take a time from; set SOURCE_DATE_EPOCH');
}

const rootfs = rootfsOf(process.argv.slice(2));
if (rootfs === undefined || rootfs === '') {
  process.stderr.write(usage);
  process.exit(2);
}
try {
  const { size, digest, parts } = await buildImage({ rootfs: resolve(rootfs), time: await timeOfSources() });
  const count = (kind: string) => parts.filter((p) => p.kind === kind).length;
  process.stdout.write(
    `${resolve(rootfs)}: ${(size / 1e6).toFixed(1)} MB, of ${count('debian')} Debian and ${count('npm')} npm packages\ntree sha256:${digest}\n`,
  );
} catch (e) {
  process.stderr.write(`image: ${describeError(e)}\n`);
  process.exit(1);
}
