import type { Verb } from '../grammar.ts';
import { subjectVerbs } from '../subjects.ts';
import { options, type Subject } from './options.ts';

const about: Readonly<Record<Subject, readonly [summary: string, aliases: readonly string[]]>> = {
  workload: ['workloads that it knows', ['workloads', 'w']],
  service: ['services, their waypoints and endpoints', ['services', 's', 'svc']],
  policy: ['authorization policies that it enforces', ['policies', 'p', 'pol']],
  certificate: ['certificates of the workloads that it serves', ['certificates', 'certs', 'cert']],
  connections: ['connections that are open now', ['cons']],
  all: ['all of it', []],
};

export const verb: Verb = {
  summary: 'what a node proxy knows and does',
  aliases: ['zc'],
  notes: `Of any node's proxy, the one that --node or a pod's name says, or that of the pod's node: a workload's name shows that
workload alone. With --file no cluster is asked.`,
  verbs: subjectVerbs({
    about,
    operands: '[[TYPE/]NAME[.NAMESPACE]]',
    options,
    load: () => import('./run.ts'),
    log: () => import('./log.ts'),
  }),
};
