import type { Verb } from '../grammar.ts';
import { subjectVerbs } from '../subjects.ts';
import { options, type Subject } from './options.ts';

const about: Readonly<Record<Subject, readonly [summary: string, aliases: readonly string[]]>> = {
  all: ['all that is shown below', ['a']],
  bootstrap: ['what it was started with', ['b']],
  cluster: ['clusters: groups of hosts that requests go to', ['clusters', 'c']],
  endpoint: ['hosts of clusters, and how they do', ['endpoints', 'ep']],
  listener: ['listeners and where what they match goes', ['listeners', 'l']],
  route: ['routes of requests', ['routes', 'r']],
  secret: ['certificates, without keys', ['secrets', 's']],
};

export const verb: Verb = {
  summary: 'what a waypoint, ours or an Envoy, was told',
  aliases: ['pc'],
  notes: `The pod is named as NAME[.NAMESPACE], deploy/NAME, svc/NAME, ...; with --file no cluster is asked. endpoint --file takes what
an Envoy says on :15000/clusters?format=json, the others its config_dump.`,
  verbs: {
    ...subjectVerbs({
      about,
      operands: '[TYPE/]NAME[.NAMESPACE]',
      options,
      load: () => import('./run.ts'),
      log: () => import('./log.ts'),
    }),
    'rootca-compare': {
      summary: 'whether two waypoints trust a root in common',
      aliases: ['rc'],
      operands: '[TYPE/]NAME[.NAMESPACE] [TYPE/]NAME[.NAMESPACE]',
      offers: 'pod',
      options: options['rootca-compare'],
      load: () => import('./roots.ts'),
    },
  },
};
