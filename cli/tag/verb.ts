import type { Verb } from '../grammar.ts';
import { listOptions, removeOptions, setOptions } from './options.ts';

const sets = (verb: 'set' | 'generate', summary: string): Verb => ({
  summary,
  operands: 'TAG',
  options: setOptions,
  load: async () => {
    const { runSet } = await import('./run.ts');
    return { run: (args) => runSet(verb, args) };
  },
});

export const verb: Verb = {
  summary: 'names for revisions of istiod, which namespaces and objects have in their label istio.io/rev',
  notes: `A tag is a Service istiod-revision-tag-TAG. Who moves it to another revision moves what has it: from then on that one's istiod
makes their waypoints and writes their statuses. The tag default is for what names no revision.

  aquifer tag set prod --revision 1-30 --overwrite`,
  verbs: {
    set: sets('set', 'make a tag, or point it to another revision'),
    generate: sets('generate', 'print what that would write'),
    list: {
      summary: 'tags, their revisions, and the namespaces that have them',
      aliases: ['show'],
      options: listOptions,
      load: async () => {
        const { runList } = await import('./run.ts');
        return { run: runList };
      },
    },
    remove: {
      summary: 'take a tag away',
      aliases: ['delete'],
      operands: 'TAG',
      options: removeOptions,
      load: async () => {
        const { runRemove } = await import('./run.ts');
        return { run: runRemove };
      },
    },
  },
};
