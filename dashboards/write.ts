/** Writes dashboards/grafana/*.json from what the dashboards say: after a change, run this (scripts/pinned-node dashboards/write.ts). */
import { writeFile } from 'node:fs/promises';
import { dashboards } from './all.ts';
import { grafanaJson } from './model.ts';

for (const dashboard of dashboards) {
  const file = new URL(`grafana/${dashboard.id}.json`, import.meta.url);
  await writeFile(file, `${JSON.stringify(grafanaJson(dashboard), undefined, 2)}\n`);
}
