import { options as authz } from '../authz/options.ts';
import { options as describe } from '../describe/options.ts';
import type { Verb } from '../grammar.ts';
import { options as internalDebug } from '../internal-debug/options.ts';
import { options as precheck } from '../precheck/options.ts';
import { verb as proxyStatus } from '../proxy-status/verb.ts';
import { verb as version } from '../version/verb.ts';

const describes = (what: 'pod' | 'service', summary: string, aliases: readonly string[]): Verb => ({
  summary,
  aliases,
  operands: 'NAME[.NAMESPACE]',
  offers: what,
  options: describe,
  load: async () => {
    const { describe: run } = await import('../describe/run.ts');
    return { run: (args) => run(what, args) };
  },
});

export const verb: Verb = {
  summary: 'what istioctl has under this name',
  aliases: ['x', 'exp'],
  verbs: {
    authz: {
      summary: 'AuthorizationPolicies',
      verbs: {
        check: {
          summary: 'which policies the proxy of a pod enforces',
          operands: '[TYPE/]NAME[.NAMESPACE]',
          offers: 'pod',
          options: authz,
          notes: `Of a waypoint's pod what the waypoint itself has; of any other what its node's proxy has. aquifer why tells what they decide.`,
          load: () => import('../authz/run.ts'),
        },
      },
    },
    describe: {
      summary: 'which objects configure a pod or a service',
      aliases: ['des'],
      verbs: {
        pod: describes('pod', 'a pod: is it in the mesh, who selects it, which policies hold', ['po']),
        service: describes('service', 'a service: its routes, rules, subsets and policies', ['svc']),
      },
    },
    'internal-debug': {
      summary: 'what istiods show below /debug',
      operands: 'PAGE [PROXY]',
      options: internalDebug,
      notes:
        'Of each istiod by itself; PROXY is its id, as proxy-status names it. Exit code 1: one does not answer, or has no such page.',
      load: () => import('../internal-debug/run.ts'),
    },
    precheck: {
      summary: 'whether the mesh can be installed or upgraded',
      options: precheck,
      notes: 'As aquifer check --pre, which says more. Exit code 1: something is in the way.',
      load: () => import('../precheck/run.ts'),
    },
    'proxy-status': proxyStatus,
    version,
  },
};
