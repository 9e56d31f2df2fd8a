import type { Verb } from '../grammar.ts';
import { options } from './options.ts';

const part = (kind: keyof typeof options, summary: string, operands?: string): Verb => ({
  summary,
  ...(operands !== undefined && { operands }),
  options: options[kind],
  load: async () => {
    const { run } = await import('./command.ts');
    return { run: (args) => run(kind, args) };
  },
});

export const verb: Verb = {
  summary: 'make, list and remove waypoints: L7 proxies of the mesh',
  verbs: {
    apply: part('apply', 'make one in the namespace'),
    generate: part('generate', 'print its YAML'),
    list: part('list', 'those of a namespace'),
    status: part('status', 'what their status says'),
    delete: part('delete', 'remove them', 'NAME... | --all | --revision REVISION'),
  },
};
