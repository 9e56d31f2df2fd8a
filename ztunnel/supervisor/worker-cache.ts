/**
 * Compiled code for workers: half of what a worker's start takes. Node keeps it in a folder for each user, and one that a worker
 * may write would outlive a break-in; so root fills a folder in the name of the worker, who can only read it.
 */
import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Of a checkout: what a worker is made of. */
export const compiledFrom = ['ztunnel', 'common', 'native', 'node_modules/.package-lock.json'].map((path) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url)),
);

export interface WorkerCacheOptions {
  /** What NODE_COMPILE_CACHE names. */
  readonly folder: string;
  /** Loads what a worker loads and ends, with the worker's options: code is compiled for options of V8, too. */
  readonly argv: readonly [string, ...string[]];
  readonly uid: number;
  /** Files, and folders with all below. Newer ones than the cache have it filled again; stale entries are harmless, Node checks them. */
  readonly sources: readonly string[];
}

/** Node's name of a folder: version, hash of options, user. */
const folderName = /^(v[\d.]+-\w+-[0-9a-f]+)-(\d+)$/;

/** Resolves with whether it had to be filled. Rejects where the folder cannot be written: then workers start more slowly. */
export async function fillWorkerCache({ folder, argv, uid, sources }: WorkerCacheOptions): Promise<boolean> {
  const filled = (await readdir(folder)).filter((name) => folderName.exec(name)?.[2] === String(uid));
  const ages = await Promise.all(filled.map((name) => modified(join(folder, name))));
  const newest = await newestOf(sources);
  if (ages.some((age) => age > newest)) return false;
  const scratch = join(folder, `filling-${process.pid}`);
  // First, for Node would compile everything and then write nothing where the file system is read-only, as in the chart's pods.
  await mkdir(scratch);
  try {
    const [program, ...args] = argv;
    await run(program, args, { env: { NODE_COMPILE_CACHE: scratch } });
    for (const name of await readdir(scratch)) {
      const version = folderName.exec(name)?.[1];
      if (version !== undefined) await publish(join(scratch, name), join(folder, `${version}-${uid}`));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return true;
}

/** A worker that starts meanwhile finds the old, the new or none, and then compiles for itself. */
async function publish(from: string, to: string): Promise<void> {
  await Promise.all((await readdir(from)).map((name) => chmod(join(from, name), 0o644)));
  await chmod(from, 0o755);
  await utimes(from, new Date(), new Date());
  await rm(to, { recursive: true, force: true });
  await rename(from, to);
}

async function newestOf(sources: readonly string[]): Promise<number> {
  const files = await Promise.all(
    sources.map(async (source) => {
      if (!(await stat(source)).isDirectory()) return [source];
      const entries = await readdir(source, { recursive: true, withFileTypes: true });
      return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name));
    }),
  );
  return Math.max(...(await Promise.all(files.flat().map(modified))));
}

async function modified(path: string): Promise<number> {
  return (await stat(path)).mtimeMs;
}
