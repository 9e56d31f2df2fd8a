/** Writes docs/reference from the code: commands, values of charts, metrics, labels, resources. A test keeps it current. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cliPage } from './reference/cli.ts';
import { labelsPage } from './reference/labels.ts';
import { metricsPage } from './reference/metrics.ts';
import { resourcesPage } from './reference/resources.ts';
import { valuesPage } from './reference/values.ts';

const checkout = join(import.meta.dirname, '..');
export const referenceFolder = join(checkout, 'docs/reference');

/** Name of the file -> its text. */
export async function referencePages(): Promise<Readonly<Record<string, string>>> {
  return {
    'README.md': contents,
    'cli.md': await cliPage(),
    'charts.md': valuesPage(join(checkout, 'charts')),
    'labels.md': labelsPage(checkout),
    'metrics.md': metricsPage(checkout),
    'resources.md': resourcesPage(),
  };
}

const contents = `# Reference

Made from the code by \`scripts/pinned-node scripts/generate-reference.ts\`; a test keeps it current.

- [Commands](cli.md): \`aquifer\` with all that its commands take
- [Values of the charts](charts.md)
- [Labels and annotations](labels.md) that are read or written
- [Metrics](metrics.md)
- [Resources](resources.md): kinds and fields
- Settings of the programs: [istiod](../../istiod/SETTINGS.md), [node proxy](../../ztunnel/SETTINGS.md), [node agent](../../cni/SETTINGS.md), [waypoint](../../waypoint/SETTINGS.md)
- What a waypoint honours of Envoy's configuration: [fields](../../waypoint/FIELDS.md)
`;

if (import.meta.main) {
  rmSync(referenceFolder, { recursive: true, force: true });
  mkdirSync(referenceFolder, { recursive: true });
  for (const [name, text] of Object.entries(await referencePages())) writeFileSync(join(referenceFolder, name), text);
}
