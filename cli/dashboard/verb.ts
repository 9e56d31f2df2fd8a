import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

const page = (
  kind: 'console' | 'proxy' | 'istiod-debug' | 'ztunnel',
  summary: string,
  operands: string,
  aliases?: readonly string[],
): Verb => ({
  summary,
  ...(aliases && { aliases }),
  operands,
  offers: 'pod',
  options,
  load: async () => {
    const { forward } = await import('./run.ts');
    return { run: (args) => forward(kind, args) };
  },
});

export const verb: Verb = {
  summary: 'forward a page of the mesh to this machine, until Ctrl-C',
  aliases: ['dash', 'd'],
  verbs: {
    console: page(
      'console',
      'the console of the mesh, which asks for a Kubernetes token',
      '[[TYPE/]NAME[.NAMESPACE]]',
      ['controlz'],
    ),
    'istiod-debug': page('istiod-debug', "istiod's metrics and debug pages", '[[TYPE/]NAME[.NAMESPACE]]'),
    proxy: page('proxy', "a waypoint's admin page", '[TYPE/]NAME[.NAMESPACE]', ['envoy']),
    ztunnel: page(
      'ztunnel',
      "a node proxy's admin page, also by the name of a pod of its node",
      '[[TYPE/]NAME[.NAMESPACE]]',
    ),
  },
};
