import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '../common/kube/kinds/core.ts';
import { parseLabArgs } from './lab-args.ts';
import { formatStatus } from './status.ts';
import { formatAge, formatTable } from './table.ts';

describe('arguments of aquifer lab', () => {
  const command = (line: string) => {
    const parsed = parseLabArgs(line.split(' '));
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.message);
    return parsed.command;
  };
  const refusal = (line: string) => {
    const parsed = parseLabArgs(line.split(' '));
    return parsed.ok ? 'accepted' : parsed.message;
  };

  test('up has defaults, and takes several files', () => {
    assert.deepEqual(command('up'), { kind: 'up', lab: 'demo', nodes: 2, files: [], env: {}, mesh: true, wait: true });
    assert.deepEqual(command('up --lab x --nodes 3 -f a.yaml -f b.yaml --no-mesh --no-wait'), {
      kind: 'up',
      lab: 'x',
      nodes: 3,
      files: ['a.yaml', 'b.yaml'],
      env: {},
      mesh: false,
      wait: false,
    });
  });

  test('settings of programs', () => {
    const up = command('up --env ztunnel:A=1 --env ztunnel:B=x=:2 --env istiod:C=');
    assert.deepEqual('env' in up && up.env, { ztunnel: { A: '1', B: 'x=:2' }, istiod: { C: '' } });
    assert.match(refusal('up --env A=1'), /expected PROGRAM:NAME=VALUE; programs are ztunnel, cni-agent, istiod/);
    assert.match(refusal('up --env envoy:A=1'), /expected PROGRAM:NAME=VALUE/);
  });

  test('the capture of the nodes is a setting of their agent', () => {
    const up = command('up --capture nft --env cni-agent:A=1');
    assert.deepEqual('env' in up && up.env, { 'cni-agent': { A: '1', AQUIFER_CAPTURE: 'nft' } });
    assert.match(refusal('up --capture iptables'), /expected ebpf, nft or auto/);
  });

  test('what follows -- belongs to the command, options and all', () => {
    assert.deepEqual(command('exec shop/web -c nginx -- ls -l --lab x'), {
      kind: 'exec',
      lab: 'demo',
      pod: 'shop/web',
      container: 'nginx',
      argv: ['ls', '-l', '--lab', 'x'],
    });
    assert.deepEqual(command('exec shop/web date').kind, 'exec');
  });

  test('a roll may name its node', () => {
    assert.deepEqual(command('roll --node node-2 --lab x'), { kind: 'roll', lab: 'x', node: 'node-2' });
    assert.deepEqual(command('roll'), { kind: 'roll', lab: 'demo', node: undefined });
    assert.match(refusal('roll node-2'), /"node-2" is not understood/);
  });

  test('what is not understood is named', () => {
    assert.match(refusal('upp'), /aquifer lab upp: there is no such command/);
    assert.match(refusal('up --nodes 0'), /--nodes 0: expected 1 to 9/);
    assert.match(refusal('up --nodes two'), /--nodes two/);
    assert.match(refusal('up extra'), /"extra" is not understood/);
    assert.match(refusal('down -f x'), /aquifer lab down has no option --file/);
    assert.match(refusal('up --colour'), /--colour/);
    assert.match(refusal('exec shop/web'), /expected POD -- COMMAND/);
    assert.match(refusal('logs'), /say of what/);
    assert.match(refusal('apply'), /expected -f FILE/);
    assert.match(refusal('constructor'), /no such command/);
  });

  test('help is help wherever it stands', () => {
    for (const line of ['--help', 'up -h', 'help', 'exec --help']) assert.equal(command(line).kind, 'help', line);
  });
});

test('tables are aligned and have no trailing blanks', () => {
  assert.equal(
    formatTable(
      ['A', 'LONG'],
      [
        ['xyz', ''],
        ['', 'v'],
      ],
    ),
    'A     LONG\nxyz\n      v',
  );
});

test('ages are short', () => {
  assert.deepEqual([5_000, 119_000, 120_000, 7_200_000, 200_000_000].map(formatAge), ['5s', '119s', '2m', '2h', '2d']);
});

test('the status says why a pod does not run, and that a daemon is dead', () => {
  const pod: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'web',
      namespace: 'shop',
      uid: 'u',
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
    },
    spec: { containers: [{ name: 'c' }], nodeName: 'node-1' },
    status: {
      phase: 'Pending',
      containerStatuses: [
        { name: 'c', ready: false, restartCount: 2, state: { waiting: { reason: 'CrashLoopBackOff' } } },
      ],
    },
  };
  const text = formatStatus({
    name: 'demo',
    daemon: undefined,
    kubeconfig: '/k',
    programs: [{ name: 'istiod', host: 'cp', pid: undefined }],
    pods: [pod],
    deployments: [],
    services: [],
    now: Date.parse('2026-01-01T00:05:00Z'),
  });
  assert.match(text, /daemon is DEAD/);
  assert.match(text, /istiod +cp +not running/);
  assert.match(text, /shop +web +0\/1 +CrashLoopBackOff +2 +5m +out +node-1/);
});
