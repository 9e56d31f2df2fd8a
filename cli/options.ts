/** Options of verbs whose code is one file. */
import { accessOptions, connectionOptions } from './connection-options.ts';
import type { Options } from './grammar.ts';

const output = <const T extends readonly string[]>(...values: T) =>
  ({ type: 'string', short: 'o', default: values[0]!, about: 'format', values }) as const;

export const validateOptions = {
  filename: {
    type: 'string',
    short: 'f',
    multiple: true,
    about: 'a file, a folder with all that is below it, or - for stdin; may be given several times',
    values: 'file',
  },
  output: output('text', 'json'),
} as const satisfies Options;

export const crdsOptions = {
  output: output('yaml', 'json', 'name'),
  webhook: {
    type: 'string',
    about: 'also the ValidatingWebhookConfiguration that asks the istiod of this namespace',
    values: 'namespace',
  },
  service: { type: 'string', default: 'istiod', about: 'the Service of that istiod' },
} as const satisfies Options;

export const caOptions = connectionOptions;

export const waitOptions = {
  ...accessOptions,
  for: { type: 'string', about: 'the condition, such as programmed' },
  namespace: { type: 'string', short: 'n', default: 'default', about: 'of the objects', values: 'namespace' },
  timeout: { type: 'string', default: '60s', about: 'for how long' },
} as const satisfies Options;

export const labOptions = {
  lab: { type: 'string', about: 'its name; default demo' },
  nodes: { type: 'string', about: '1 to 9' },
  file: { type: 'string', short: 'f', multiple: true, about: 'Kubernetes YAML', values: 'file' },
  env: { type: 'string', multiple: true, about: 'PROGRAM:NAME=VALUE' },
  capture: { type: 'string', about: 'how traffic is captured', values: ['ebpf', 'nft', 'auto'] },
  mesh: { type: 'boolean', about: 'istiod, ztunnel and cni-agent' },
  wait: { type: 'boolean', about: 'until all pods are ready and enrolled' },
  node: { type: 'string', about: 'node-1, node-2, ...' },
  container: { type: 'string', short: 'c', about: 'of the pod' },
  help: { type: 'boolean', short: 'h', about: 'what there is' },
} as const satisfies Options;
