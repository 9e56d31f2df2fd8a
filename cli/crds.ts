/** `aquifer crds`. */
import { stringify } from 'yaml';
import { meshDefinitions } from '../istiod/crds/definitions.ts';
import { oneOf, readArguments, UsageError } from './arguments.ts';

export const help = `aquifer crds: print the mesh's CustomResourceDefinitions

  aquifer crds [NAME...] | kubectl apply --server-side -f -

Those of Istio and of the Gateway API (channel experimental), each with its schema, rules and columns.

  NAME                  one of them, such as virtualservices.networking.istio.io, or all of a group
  -o, --output FORMAT   yaml, json or name; default yaml
  -h, --help            this text
`;

const options = { output: { type: 'string', short: 'o', default: 'yaml' } } as const;

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('crds', args, options);
  const format = oneOf('--output', values.output, 'yaml', 'json', 'name');
  const all = meshDefinitions();
  const isWanted = (name: string, wanted: string) => name === wanted || name.endsWith(`.${wanted}`);
  const unknown = positionals.find((wanted) => !all.some((d) => isWanted(d.metadata.name, wanted)));
  if (unknown !== undefined) {
    throw new UsageError(`aquifer crds: there is no ${JSON.stringify(unknown)}; aquifer crds -o name lists them`);
  }
  const chosen = all.filter(
    ({ metadata }) => positionals.length === 0 || positionals.some((wanted) => isWanted(metadata.name, wanted)),
  );
  switch (format) {
    case 'name':
      for (const { metadata } of chosen) process.stdout.write(`${metadata.name}\n`);
      return 0;
    case 'json':
      process.stdout.write(`${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: chosen }, undefined, 2)}\n`);
      return 0;
    case 'yaml':
      for (const definition of chosen) {
        process.stdout.write(`---\n${stringify(definition, { aliasDuplicateObjects: false, lineWidth: 0 })}`);
      }
      return 0;
  }
}
