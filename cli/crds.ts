/** `aquifer crds`. */
import { stringify } from 'yaml';
import { meshDefinitions } from '../istiod/crds/definitions.ts';
import { webhookConfiguration } from '../istiod/validation/webhook-configuration.ts';
import { oneOf, readArguments, UsageError } from './arguments.ts';
import { crdsOptions } from './options.ts';

export async function run(args: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments('crds', args, crdsOptions);
  const format = oneOf('--output', values.output, 'yaml', 'json', 'name');
  const all = meshDefinitions();
  const isWanted = (name: string, wanted: string) => name === wanted || name.endsWith(`.${wanted}`);
  const unknown = positionals.find((wanted) => !all.some((d) => isWanted(d.metadata.name, wanted)));
  if (unknown !== undefined) {
    throw new UsageError(`aquifer crds: there is no ${JSON.stringify(unknown)}; aquifer crds -o name lists them`);
  }
  const definitions = all.filter(
    ({ metadata }) => positionals.length === 0 || positionals.some((wanted) => isWanted(metadata.name, wanted)),
  );
  const { webhook: namespace, service } = values;
  const chosen = [...definitions, ...(namespace === undefined ? [] : [webhookConfiguration({ namespace, service })])];
  switch (format) {
    case 'name':
      for (const { metadata } of chosen) process.stdout.write(`${metadata.name}\n`);
      return 0;
    case 'json':
      process.stdout.write(`${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: chosen }, undefined, 2)}\n`);
      return 0;
    case 'yaml':
      for (const object of chosen) {
        process.stdout.write(`---\n${stringify(object, { aliasDuplicateObjects: false, lineWidth: 0 })}`);
      }
      return 0;
  }
}
