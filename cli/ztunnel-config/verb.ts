import type { Verb, Verbs } from '../grammar.ts';
import { options, type Subject } from './options.ts';

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
