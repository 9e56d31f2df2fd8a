import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkout } from '../lab/config.ts';
import { homeInImage, programs, startScript } from './programs.ts';

test('each program starts as in a checkout, from where the image has it', () => {
  for (const { name, main } of programs) {
    const script = readFileSync(join(checkout, 'bin', name), 'utf8');
    const made = startScript(script, main);
    assert.match(made, new RegExp(`^here=${homeInImage}$`, 'm'));
    assert.doesNotMatch(made, /pinned-node|main\.ts|readlink|checkout/);
    const flags = (text: string) => text.match(/ --(?!disable-warning)[a-z-]+=?\S*/g) ?? [];
    assert.deepEqual(flags(made), flags(script), name);
  }
});

test('a script of another kind is not taken for one', () => {
  assert.throws(() => startScript('#!/bin/sh\nexec node x\n', 'x/main'), /x\/main has 0 times/);
});
