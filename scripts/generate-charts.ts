/** Writes into charts/ what comes from the code: the definitions of custom resources. A test keeps them in step. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { meshDefinitions } from '../istiod/crds/definitions.ts';

/**
 * Path below charts/ -> text. Definitions of Istio's kinds are templates, and change with the chart. Those of the Gateway API are often
 * somebody else's: helm makes them where they are missing and never touches them again.
 */
export function generatedFiles(): Readonly<Record<string, string>> {
  const options = { aliasDuplicateObjects: false, lineWidth: 0 } as const;
  return Object.fromEntries(
    meshDefinitions().map((definition) => {
      const { name } = definition.metadata;
      const folder = name.endsWith('.istio.io') ? 'base/files/crds' : 'base/crds';
      return [`${folder}/${name}.yaml`, stringify(definition, options)];
    }),
  );
}

if (import.meta.main) {
  const charts = join(import.meta.dirname, '../charts');
  for (const folder of ['base/files/crds', 'base/crds']) {
    rmSync(join(charts, folder), { recursive: true, force: true });
    mkdirSync(join(charts, folder), { recursive: true });
  }
  for (const [path, text] of Object.entries(generatedFiles())) writeFileSync(join(charts, path), text);
}
