import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { bases, fieldRoots } from './testing/field-roots.ts';
import { type Treatments, walkFields } from './testing/field-walk.ts';
import { Rig } from './testing/rig.ts';
import { withoutEffect } from './testing/without-effect.ts';

const document = new URL('./FIELDS.md', import.meta.url);
const found = walkFields(fieldRoots(new Rig().runtime.env), bases);

describe("each field of Envoy's messages", () => {
  it('that is taken without effect is so for a reason', () => {
    const ignored = [...found].flatMap(([type, fields]) =>
      [...fields].flatMap(([name, treatments]) => (treatments.has('ignored') ? [`${type}.${name}`] : [])),
    );
    const explained = Object.entries(withoutEffect).flatMap(([type, fields]) =>
      Object.keys(fields).map((name) => `${type}.${name}`),
    );
    assert.deepEqual(ignored.toSorted(), explained.toSorted());
  });

  it('stands in FIELDS.md as what it is (UPDATE_FIELDS=1 writes it anew)', () => {
    const text = written(found);
    if (process.env['UPDATE_FIELDS'] === '1') writeFileSync(document, text);
    assert.equal(readFileSync(document, 'utf8'), text);
  });
});

function written(treatments: Treatments): string {
  const parts = [...treatments]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([type, fields]) => {
      const names = (wanted: (kinds: string) => boolean) =>
        [...fields].filter(([, set]) => wanted([...set].sort().join())).map(([name]) => `\`${name}\``);
      const lines = [
        line(
          'honoured',
          names((kinds) => kinds === 'read'),
        ),
        line(
          'honoured in some places, refused in others',
          names((kinds) => kinds === 'read,refused'),
        ),
        line(
          'refused',
          names((kinds) => kinds === 'refused'),
        ),
        ...[...fields]
          .filter(([, set]) => set.has('ignored'))
          .map(([name]) => `- no effect: \`${name}\`: ${withoutEffect[type]?.[name] ?? ''}`),
      ];
      return `## ${type}\n\n${lines.filter((text) => text !== '').join('\n')}\n`;
    });
  return `${head}\n${parts.join('\n')}`;
}

function line(what: string, names: readonly string[]): string {
  return names.length === 0 ? '' : `- ${what}: ${names.join(', ')}`;
}

const head = `# Envoy's fields at the waypoint

Every field of the messages that the waypoint compiles. A refused one is NACKed by its name. Written by \`waypoint/fields.test.ts\`, which
tries each field on its reader; reasons are in \`waypoint/testing/without-effect.ts\`.
`;
