import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { UsageError } from '../arguments.ts';
import { commandLine, installSteps, templateSteps, uninstallSteps } from './plan.ts';

const wanted = { namespace: 'istio-system', folder: '/c', revision: undefined, sets: [], files: [] };

test('charts in their order, each with its values', () => {
  const steps = installSteps(
    {
      ...wanted,
      sets: ['istiod.replicaCount=2', 'global.hub=x', 'profile=ambient'],
      files: [{ global: { tag: '1' }, cni: { a: { b: 1, c: [1] } } }, { cni: { a: { c: [2] } } }],
    },
    60,
  );
  assert.deepEqual(
    steps.map((s) => s.release),
    ['istio-base', 'istiod', 'istio-cni', 'ztunnel'],
  );
  assert.equal(
    commandLine({ argv: steps[1]!.argv }),
    'helm upgrade --install istiod /c/istiod --namespace istio-system --create-namespace --wait --timeout 60s --values - --set replicaCount=2 --set global.hub=x',
  );
  assert.deepEqual(JSON.parse(steps[2]!.values ?? ''), { global: { tag: '1' }, a: { b: 1, c: [2] } });
  assert.equal(installSteps(wanted, 1)[0]!.values, undefined);
});

test('a revision is an istiod beside the others', () => {
  const [, istiod, cni] = templateSteps({ ...wanted, revision: 'canary' });
  assert.deepEqual(
    [istiod?.release, istiod?.argv.slice(-2), cni?.release],
    ['istiod-canary', ['--set-string', 'revision=canary'], 'istio-cni'],
  );
  assert.deepEqual(
    uninstallSteps('x', 'canary').map((s) => s.release),
    ['istiod-canary'],
  );
  assert.deepEqual(
    uninstallSteps('x', undefined).map((s) => s.release),
    ['ztunnel', 'istio-cni', 'istiod', 'istio-base'],
  );
});

test('values that belong nowhere', () => {
  for (const sets of [['x=1'], ['pilot.env=1'], ['profile=demo'], ['istiod']])
    assert.throws(() => installSteps({ ...wanted, sets }, 1), UsageError, sets[0]);
  assert.throws(() => installSteps({ ...wanted, files: [{ pilot: {} }] }, 1), /pilot: no such chart/);
  assert.match(commandLine({ argv: ['a', "it's"] }), /^helm a 'it'\\''s'$/);
});

test('helm is run, its refusal told, and its absence', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aquifer-install-'));
  try {
    for (const chart of ['base', 'istiod', 'cni', 'ztunnel']) {
      mkdirSync(join(folder, chart));
      writeFileSync(join(folder, chart, 'Chart.yaml'), '');
    }
    const helm = join(folder, 'helm');
    writeFileSync(
      helm,
      `#!/bin/sh\necho "$@" >> ${folder}/log\ncase "$*" in *ztunnel*--set*bad*) echo "Error: values don't meet the schema: bad" >&2; exit 1;; template*) echo "# $2";; esac\n`,
    );
    chmodSync(helm, 0o755);
    const aquifer = (args: readonly string[], path = `${folder}:/usr/bin:/bin`) =>
      spawnSync(process.execPath, [join(import.meta.dirname, '../main.ts'), ...args, '-d', folder], {
        encoding: 'utf8',
        env: { PATH: path },
      });
    const whole = aquifer(['manifest', 'generate']);
    assert.equal(whole.stdout, '# istio-base\n# istiod\n# istio-cni\n# ztunnel\n', whole.stderr);
    assert.match(
      readFileSync(join(folder, 'log'), 'utf8'),
      /template ztunnel .*\/ztunnel --namespace istio-system --include-crds/,
    );
    const refused = aquifer(['manifest', 'generate', '--set', 'ztunnel.bad=1']);
    assert.deepEqual(
      [refused.status, refused.stderr.trim()],
      [1, `aquifer: helm template ztunnel ${folder}/ztunnel failed: Error: values don't meet the schema: bad`],
    );
    const without = aquifer(['manifest', 'generate'], dirname(process.execPath));
    assert.equal(without.status, 1);
    assert.match(without.stderr, /helm template istio-base .*\naquifer: helm is not on PATH/s);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
