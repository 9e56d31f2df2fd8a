/** `aquifer filter`. */
import type { Verb } from '../grammar.ts';
import { filterTestOptions } from './options.ts';

export const verb: Verb = {
  summary: 'filters of waypoints that are TypeScript modules',
  verbs: {
    test: {
      summary: 'run a module against cases in a file, without a mesh',
      operands: 'FILE.ts',
      offers: 'file',
      options: filterTestOptions,
      notes: `The module runs as at a waypoint: in a process of its own, without rights, within the same limits. Cases are a list in
YAML, by default in FILE.cases.yaml beside FILE.ts:

  - name: a caller that asks for it gets the canary
    config: { percent: 5 }               pluginConfig of the object
    now: 1700000000000                   ms since 1970 for the module; default: the time
    request: { method: GET, authority: web, path: /, identity: spiffe://..., headers: { x-canary: 'on' } }
    expect: { headers: { x-canary: 'on' }, response: { set-cookie: null }, path: /, authority: web, reroute: true, status: 403, body: '', error: part }

What expect does not name is not compared; null: there is no such header; status: it answers itself.

Exit code 0: all cases are as expected. 1: some are not. 64: the arguments are not understood.`,
      load: () => import('./test.ts'),
    },
  },
};
