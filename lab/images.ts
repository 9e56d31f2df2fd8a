/** What `image` means in a lab: programs of Debian packages, unpacked into a cache folder and never installed. */
import { MeshError } from '../common/core/errors.ts';
import { cacheFolder } from './config.ts';
import type { DebianPackage, Image } from './image/image.ts';
import { isInstalled, isUnpacked, unpack } from './image/packages.ts';
import { findImage, images, unknownImage } from './image/table.ts';

/**
 * Makes sure that the packages of these images (default: all) are installed on the machine or unpacked in the cache folder
 * (`AQUIFER_CACHE`, default `~/.cache/aquifer`). Quick when they are. MeshError CONFIG for an unknown image or a package that
 * cannot be had.
 */
export async function ensureImages(
  names: readonly string[] = images.map((i) => i.name),
  progress: (line: string) => void = (line) => void process.stdout.write(`${line}\n`),
): Promise<void> {
  const cache = cacheFolder();
  const packages = new Map(names.flatMap((n) => wanted(n).packages).map((p): [string, DebianPackage] => [p.name, p]));
  for (const p of packages.values()) {
    if (isInstalled(p) || isUnpacked(cache, p)) continue;
    progress(`unpacking ${p.name} into ${cache}`);
    await unpack(cache, p);
  }
}

function wanted(name: string): Image {
  const image = findImage(name);
  if (image === undefined) throw new MeshError('CONFIG', unknownImage(name));
  return image;
}
