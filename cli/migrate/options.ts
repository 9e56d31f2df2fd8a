/** Options of `aquifer migrate`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  filename: {
    type: 'string',
    short: 'f',
    multiple: true,
    about: 'objects in files and folders instead of a cluster, as kubectl get -o yaml writes them',
    values: 'file',
  },
  revision: { type: 'string', short: 'r', default: 'aquifer', about: 'of the new istiod' },
  manifests: {
    type: 'string',
    short: 'd',
    about: 'folder of the charts; default: those of this program',
    values: 'directory',
  },
  step: { type: 'string', about: 'prints this step alone, by its number or name' },
  check: { type: 'string', about: 'whether this step is done, by its number or name' },
  output: { type: 'string', short: 'o', default: 'text', about: 'format', values: ['text', 'json'] },
} as const satisfies Options;
