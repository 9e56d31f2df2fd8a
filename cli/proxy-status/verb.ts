import { connectionOptions } from '../connection-options.ts';
import type { Options, Verb } from '../grammar.ts';

export const options = {
  ...connectionOptions,
  revision: { type: 'string', short: 'r', about: 'of istiods of this revision alone' },
  verbosity: { type: 'string', short: 'v', default: '0', about: '1 shows each type with its status' },
  'proxy-admin-port': { type: 'string', default: '15000', about: 'of the proxy that is compared with its istiod' },
  file: { type: 'string', about: 'what the proxy has, from a file in place of its admin page', values: 'file' },
  output: { type: 'string', short: 'o', default: 'table', about: 'format', values: ['table', 'json', 'yaml'] },
} as const satisfies Options;

export const verb: Verb = {
  summary: 'what istiods sent to each proxy, and what it has confirmed',
  aliases: ['ps'],
  operands: '[[TYPE/]NAME[.NAMESPACE]]',
  offers: 'pod',
  options,
  notes: `With a pod: whether it has what its istiod sent, by names of resources, for each type.

Exit code 1: an istiod does not answer, or the pod has not what was sent.`,
  load: () => import('./run.ts'),
};
