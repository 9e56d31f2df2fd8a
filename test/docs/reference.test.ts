import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { referenceFolder, referencePages } from '../../scripts/generate-reference.ts';

test('the reference is what the code says now (scripts/generate-reference.ts)', async () => {
  const pages = await referencePages();
  for (const [name, text] of Object.entries(pages)) {
    const kept = readFileSync(join(referenceFolder, name), 'utf8');
    assert.equal(kept, text, `${name}: run scripts/pinned-node scripts/generate-reference.ts`);
  }
  assert.deepEqual(readdirSync(referenceFolder).toSorted(), Object.keys(pages).toSorted());
});

test('it has what it is made of: a command, an option, a value, a metric, a field', async () => {
  const pages = await referencePages();
  const rows: readonly (readonly [page: string, text: RegExp])[] = [
    ['cli.md', /^## aquifer ztunnel-config workload$/m],
    ['cli.md', /--request-id ID/],
    ['charts.md', /^\| `revisionTags` \| `\[\]` \| Names for this revision/m],
    ['metrics.md', /^\| `istio_tcp_connections_opened_total` \| TCP connections opened \|$/m],
    ['metrics.md', /`upstream_rq_retry`/],
    ['resources.md', /^\| `spec\.http\[\]\.retries\.attempts` \| integer/m],
    ['labels.md', /^\| `istio\.io\/use-waypoint` \|/m],
  ];
  for (const [page, text] of rows) assert.match(pages[page]!, text, page);
});
