/** Options of `aquifer analyze`. */
import { connectionOptions } from '../connection-options.ts';
import type { Options } from '../grammar.ts';

const levels = ['Info', 'Warning', 'Error'] as const;

export const options = {
  ...connectionOptions,
  'use-kube': { type: 'boolean', short: 'k', default: true, about: '--use-kube=false reads files alone' },
  'all-namespaces': { type: 'boolean', short: 'A', about: 'of all namespaces' },
  revision: {
    type: 'string',
    short: 'r',
    default: 'default',
    about: 'without objects that are labelled for another one',
  },
  meshConfigFile: { type: 'string', about: "in place of the cluster's MeshConfig", values: 'file' },
  suppress: {
    type: 'string',
    short: 'S',
    multiple: true,
    about: 'CODE=KIND NAME[.NAMESPACE] that is left out, such as "IST0118=Service *.shop"',
  },
  analyzer: { type: 'string', multiple: true, about: 'these alone; default: all' },
  'ignore-unknown': { type: 'boolean', about: 'files that are no objects are passed over' },
  timeout: { type: 'string', default: '30s', about: 'for how long a cluster is read' },
  'output-threshold': { type: 'string', default: 'Info', about: 'what is told', values: levels },
  'failure-threshold': { type: 'string', default: 'Error', about: 'what ends with an exit code', values: levels },
  output: { type: 'string', short: 'o', default: 'log', about: 'format', values: ['log', 'json', 'yaml'] },
  color: { type: 'boolean', default: true, about: '--color=false marks no levels at a terminal' },
  verbose: { type: 'boolean', short: 'v', about: 'also what is read, and who looks at it' },
  'list-analyzers': { type: 'boolean', short: 'L', about: 'names of the analyzers' },
} as const satisfies Options;
