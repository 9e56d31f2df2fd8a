/** Options of commands whose help is a text of their own; what they mean is there. */
import { connectionOptions } from './connection-options.ts';
import type { Options } from './grammar.ts';

const { kubeconfig } = connectionOptions;
const filename = {
  type: 'string',
  short: 'f',
  multiple: true,
  about: 'files, folders, - for stdin',
  values: 'file',
} as const;
const output = <const T extends readonly string[]>(...values: T) =>
  ({ type: 'string', short: 'o', default: values[0]!, about: 'format', values }) as const;
const levels = ['Info', 'Warning', 'Error'] as const;

export const validateOptions = { filename, output: output('text', 'json') } as const satisfies Options;

export const analyzeOptions = {
  kubeconfig,
  'use-kube': { type: 'string', about: 'whether a cluster is read', values: ['true', 'false'] },
  namespace: { type: 'string', short: 'n', about: 'of this namespace alone', values: 'namespace' },
  'all-namespaces': { type: 'boolean', short: 'A', about: 'of all namespaces' },
  suppress: { type: 'string', short: 'S', multiple: true, about: 'CODE=OBJECT that is left out' },
  'output-threshold': { type: 'string', default: 'Info', about: 'what is told', values: levels },
  'failure-threshold': { type: 'string', default: 'Error', about: 'what ends with an exit code', values: levels },
  output: output('log', 'json', 'yaml'),
  'list-analyzers': { type: 'boolean', short: 'L', about: 'names of the analyzers' },
} as const satisfies Options;

export const whyOptions = {
  filename,
  kubeconfig,
  'istio-namespace': { type: 'string', default: 'istio-system', about: 'where istiod is', values: 'namespace' },
  compat: { type: 'string', about: 'AQUIFER_COMPAT of istiod and proxies' },
  method: { type: 'string', default: 'GET', about: 'of the request' },
  path: { type: 'string', default: '/', about: 'with its query' },
  host: { type: 'string', about: 'default: the name of DESTINATION' },
  header: { type: 'string', multiple: true, about: 'NAME:VALUE' },
  'request-id': { type: 'string', about: 'of a request that happened' },
  output: output('text', 'json'),
} as const satisfies Options;

export const crdsOptions = {
  output: output('yaml', 'json', 'name'),
  webhook: { type: 'string', about: 'also the webhook of the istiod in this namespace', values: 'namespace' },
  service: { type: 'string', default: 'istiod', about: 'the Service of that istiod' },
} as const satisfies Options;

export const caOptions = {
  namespace: { type: 'string', short: 'n', default: 'istio-system', about: 'where istiod runs', values: 'namespace' },
  kubeconfig,
} as const satisfies Options;

export const waitOptions = {
  for: { type: 'string', about: 'the condition, such as programmed' },
  namespace: { type: 'string', short: 'n', default: 'default', about: 'of the objects', values: 'namespace' },
  timeout: { type: 'string', default: '60s', about: 'for how long' },
  kubeconfig,
} as const satisfies Options;

export const waypointOptions = {
  namespace: { type: 'string', short: 'n', about: 'where it is', values: 'namespace' },
  'all-namespaces': { type: 'boolean', short: 'A', default: false, about: 'of all namespaces' },
  name: { type: 'string', default: 'waypoint', about: 'its name' },
  for: { type: 'string', about: 'what it stands before', values: ['service', 'workload', 'all', 'none'] },
  revision: { type: 'string', short: 'r', about: 'whose istiod makes it' },
  'enroll-namespace': { type: 'boolean', default: false, about: "the namespace's services are behind it from then on" },
  overwrite: { type: 'boolean', default: false, about: 'takes them from another one' },
  wait: { type: 'boolean', default: false, about: 'until it serves' },
  timeout: { type: 'string', default: '90s', about: 'for how long' },
  all: { type: 'boolean', default: false, about: 'of the namespace' },
  kubeconfig,
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
