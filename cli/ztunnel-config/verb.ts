import { connectionOptions } from '../connection-options.ts';
import type { Options, Verb, Verbs } from '../grammar.ts';

const common = {
  ...connectionOptions,
  file: { type: 'string', short: 'f', about: "a node proxy's config_dump in place of asking it", values: 'file' },
  node: { type: 'string', about: 'ask the node proxy of this node', values: 'node' },
  output: { type: 'string', short: 'o', default: 'short', about: 'format', values: ['short', 'json', 'yaml'] },
  'proxy-admin-port': { type: 'string', default: '15000', about: "of the node proxy's admin page" },
} as const satisfies Options;

const ofNamespace = (what: string) =>
  ({ type: 'string', about: `${what} of this namespace`, values: 'namespace' }) as const;

export const options = {
  workload: {
    ...common,
    address: { type: 'string', about: 'the workload with this address' },
    'workload-namespace': ofNamespace('workloads'),
    'workload-node': { type: 'string', about: 'workloads on this node', values: 'node' },
  },
  service: { ...common, 'service-namespace': ofNamespace('services') },
  policy: { ...common, 'policy-namespace': ofNamespace('policies') },
  certificate: common,
  connections: {
    ...common,
    'workload-namespace': ofNamespace('connections of workloads'),
    direction: { type: 'string', about: 'one direction alone', values: ['inbound', 'outbound'] },
    raw: { type: 'boolean', about: 'addresses in place of names' },
  },
  all: { ...common, 'with-headers': { type: 'boolean', about: 'a title before each part' } },
  log: {
    ...common,
    level: { type: 'string', about: '[TARGET:]LEVEL,...: sets them; trace, debug, info, warn, error or off' },
    reset: { type: 'boolean', short: 'r', about: 'back to what it started with' },
  },
} as const satisfies Record<string, Options>;

export type Subject = Exclude<keyof typeof options, 'log'>;

const about: Readonly<Record<Subject, readonly [summary: string, aliases: readonly string[]]>> = {
  workload: ['workloads that it knows', ['workloads', 'w']],
  service: ['services, their waypoints and endpoints', ['services', 's', 'svc']],
  policy: ['authorization policies that it enforces', ['policies', 'p', 'pol']],
  certificate: ['certificates of the workloads that it serves', ['certificates', 'certs', 'cert']],
  connections: ['connections that are open now', ['cons']],
  all: ['all of it', []],
};

const subjects: Verbs = Object.fromEntries(
  Object.entries(about).map(([name, [summary, aliases]]): [string, Verb] => {
    const subject = name as Subject;
    return [
      name,
      {
        summary,
        aliases,
        operands: '[[TYPE/]NAME[.NAMESPACE]]',
        offers: 'pod',
        options: options[subject],
        load: async () => {
          const { show } = await import('./run.ts');
          return { run: (args) => show(subject, args) };
        },
      },
    ];
  }),
);

export const verb: Verb = {
  summary: 'what a node proxy knows and does',
  aliases: ['zc'],
  notes: `Of any node's proxy, the one that --node or a pod's name says, or that of the pod's node: a workload's name shows that
workload alone. With --file no cluster is asked.`,
  verbs: {
    ...subjects,
    log: {
      summary: 'log levels, and changing them',
      aliases: ['o'],
      operands: '[[TYPE/]NAME[.NAMESPACE]]',
      offers: 'pod',
      options: options.log,
      load: () => import('./log.ts'),
    },
  },
};
