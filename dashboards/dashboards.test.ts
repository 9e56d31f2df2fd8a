import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { dashboards } from './all.ts';
import { grafanaJson } from './model.ts';

const folder = new URL('grafana/', import.meta.url);

test('the files are what the dashboards say', () => {
  assert.deepEqual(readdirSync(folder).sort(), dashboards.map((d) => `${d.id}.json`).sort());
  for (const dashboard of dashboards) {
    const file = JSON.parse(readFileSync(new URL(`${dashboard.id}.json`, folder), 'utf8'));
    assert.deepEqual(file, grafanaJson(dashboard), `${dashboard.id}: run scripts/pinned-node dashboards/write.ts`);
  }
});

test('panels lie beside and below each other, and every variable that is asked for is declared', () => {
  for (const dashboard of dashboards) {
    const { panels } = grafanaJson(dashboard) as {
      panels: { gridPos: { x: number; y: number; w: number; h: number } }[];
    };
    for (const [i, { gridPos: a }] of panels.entries()) {
      assert.ok(a.x + a.w <= 24);
      for (const { gridPos: b } of panels.slice(i + 1)) {
        assert.ok(a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y, dashboard.id);
      }
    }
    const declared = ['__rate_interval', ...dashboard.variables.map((v) => v.name)];
    for (const { expr } of dashboard.rows.flatMap((r) => r.panels.flatMap((p) => p.queries))) {
      // $1 is a part of a match.
      for (const [, name] of expr.matchAll(/\$([a-z_]\w*)/g)) assert.ok(declared.includes(name!), `${name} in ${expr}`);
    }
  }
});
