/** What `image` means in a lab: programs of Debian packages, unpacked into a cache folder and never installed. */
import { MeshError } from '../common/core/errors.ts';

/**
 * Makes sure that the packages of these images (default: all) are unpacked in the cache folder (`AQUIFER_CACHE`, default
 * `~/.cache/aquifer`). Quick when they are. MeshError CONFIG for an unknown image or a package that cannot be had.
 */
export async function ensureImages(
  names?: readonly string[],
  progress: (line: string) => void = (line) => void process.stdout.write(`${line}\n`),
): Promise<void> {
  progress(`images: ${names?.join(', ') ?? 'all'}`);
  throw new MeshError('CONFIG', 'images are not written yet');
}
