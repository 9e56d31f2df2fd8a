/** `aquifer lab` in the image, in place of `cli/lab-command.ts`. */
import { MeshError } from '../common/core/errors.ts';

export const help = 'The lab is part of a checkout; this image has none.\n';

export function run(): Promise<number> {
  throw new MeshError('CONFIG', 'this image has no lab: it is part of a checkout, as bin/aquifer lab');
}
