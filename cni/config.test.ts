import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { SettingsReader } from '../common/config/reader.ts';
import { type ConfigInput, cgroupMounts, parseConfig } from './config.ts';

const hybrid = [
  'tmpfs /sys/fs/cgroup tmpfs ro 0 0',
  'cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0',
  'cgroup2 /sys/fs/cgroup/uni\\040fied cgroup2 rw 0 0',
].join('\n');
const env = { NODE_NAME: 'n1', KUBECONFIG: '/k', AQUIFER_ZTUNNEL_CGROUP: '/sys/fs/cgroup/z' };
const parse = (argv: readonly string[] = [], extra: Record<string, string> = {}) => {
  const parsed = parseConfig({ argv, env: { ...env, ...extra }, mounts: hybrid });
  return parsed.kind === 'ok' ? parsed.config : assert.fail(parsed.errors.join('\n'));
};

function mistakes(input: ConfigInput): readonly string[] {
  const parsed = parseConfig(input);
  return parsed.kind === 'invalid' ? parsed.errors : assert.fail('it was accepted');
}

describe('configuration of the agent', () => {
  test('defaults', () => {
    const config = parse();
    assert.equal(config.command, 'run');
    assert.equal(config.zdsPath, '/var/run/ztunnel/ztunnel.sock');
    assert.equal(config.steeringPath, '/var/run/ztunnel/ztunnel.sock.steer');
    assert.equal(config.cgroupRoot, '/sys/fs/cgroup/uni fied');
    assert.deepEqual(config.legacyCgroupRoots, ['/sys/fs/cgroup/pids']);
    assert.equal(config.bpfDir, '/sys/fs/bpf/aquifer');
    assert.equal(config.withdrawGrace, 1000);
    assert.equal(config.failOpen, false);
    assert.equal(config.sameNode, false);
    assert.equal(parse([], { AQUIFER_SAME_NODE: 'direct' }).sameNode, true);
    assert.equal(parse([], { AQUIFER_SAME_NODE: 'off' }).sameNode, false);
    assert.equal(config.monitoringPort, 15014);
    assert.deepEqual([...config.excludedNamespaces], ['kube-system', 'istio-system']);
    assert.equal(config.plugin, undefined);
  });

  test('an agent of a DaemonSet knows it; to retire its agents nothing else is needed', () => {
    assert.equal(parse().home, undefined);
    assert.deepEqual(parse([], { AQUIFER_DAEMONSET: 'istio-cni-node', POD_NAMESPACE: 'mesh' }).home, {
      namespace: 'mesh',
      name: 'istio-cni-node',
    });
    const alone = parseConfig({ argv: ['retire'], env: { KUBECONFIG: '/k', AQUIFER_DAEMONSET: 'd' }, mounts: '' });
    assert.deepEqual(alone.kind === 'ok' && alone.config.home, { namespace: 'istio-system', name: 'd' });
    assert.deepEqual(mistakes({ argv: ['retire'], env: { KUBECONFIG: '/k' }, mounts: '' }), [
      'AQUIFER_DAEMONSET is not set: the agents to retire',
    ]);
  });

  test('a flag wins over the environment', () => {
    const config = parse(['--ztunnel-uds-address', '/a.sock', '--monitoring-port=0', 'uninstall'], {
      INPOD_UDS: '/b.sock',
      AQUIFER_CGROUP_ROOT: '/c',
      EXCLUDED_NAMESPACES: 'x, y',
    });
    assert.equal(config.zdsPath, '/a.sock');
    assert.equal(config.monitoringPort, 0);
    assert.equal(config.command, 'uninstall');
    assert.equal(config.cgroupRoot, '/c');
    assert.deepEqual(config.legacyCgroupRoots, []);
    assert.deepEqual([...config.excludedNamespaces], ['x', 'y']);
  });

  test('the CNI plugin is installed where CNI_NET_DIR says, and only served where somebody else installs it', () => {
    assert.deepEqual(parse([], { CNI_NET_DIR: '/etc/cni/net.d' }).plugin, {
      runDir: '/var/run/istio-cni',
      place: { netDir: '/etc/cni/net.d', binDir: '/opt/cni/bin', confName: undefined },
    });
    const given = { CNI_NET_DIR: '/n', CNI_BIN_DIR: '/b', CNI_CONF_NAME: '10-x.conflist', CNI_AGENT_RUN_DIR: '/r' };
    const place = { netDir: '/n', binDir: '/b', confName: '10-x.conflist' };
    assert.deepEqual(parse([], given).plugin, { runDir: '/r', place });
    assert.deepEqual(parse([], { CNI_AGENT_RUN_DIR: '/r' }).plugin, { runDir: '/r', place: undefined });
    for (const [extra, expected] of [
      [{ CNI_BIN_DIR: '/b' }, /CNI_BIN_DIR is set without CNI_NET_DIR/],
      [{ CNI_NET_DIR: 'n' }, /CNI_NET_DIR=n: expected an absolute path/],
      [{ CNI_NET_DIR: '/n', CNI_CONF_NAME: 'a/b' }, /CNI_CONF_NAME=a\/b: expected the name of a file/],
      [{ CNI_AGENT_RUN_DIR: `/${'x'.repeat(90)}` }, /at most 90 bytes/],
    ] as const) {
      assert.match(mistakes({ argv: [], env: { ...env, ...extra }, mounts: hybrid }).join(), expected);
    }
  });

  test('to exclude no namespace at all is a mistake', () => {
    for (const argv of [['--exclude-namespaces='], ['--exclude-namespaces', ''], ['--exclude-namespaces', ' , ']]) {
      const found = mistakes({ argv, env: { ...env, EXCLUDED_NAMESPACES: 'x' }, mounts: hybrid });
      assert.equal(found.length, 1);
      assert.match(found[0]!, /^--exclude-namespaces=.*: expected one or more namespaces/);
    }
    const found = mistakes({ argv: [], env: { ...env, EXCLUDED_NAMESPACES: ',' }, mounts: hybrid });
    assert.match(found[0]!, /^EXCLUDED_NAMESPACES=,: expected one or more namespaces/);
    assert.deepEqual(
      [...parse([], { EXCLUDED_NAMESPACES: '', POD_NAMESPACE: 'own' }).excludedNamespaces],
      ['kube-system', 'own'],
    );
    assert.deepEqual([...parse(['--exclude-namespaces=y'], { EXCLUDED_NAMESPACES: 'x' }).excludedNamespaces], ['y']);
  });

  test('every mistake is told at once', () => {
    const found = mistakes({
      argv: ['start', '--frobnicate', '--monitoring-port', '99999', '--ztunnel-uds-address'],
      env: {
        AQUIFER_CAPTURE: 'iptables',
        AQUIFER_FAIL_OPEN: 'yes',
        AQUIFER_WITHDRAW_GRACE: '1 second',
        AQUIFER_BPF_DIR: 'pins',
        RUST_LOG: 'loud',
      },
      mounts: '',
    });
    for (const part of [
      '"start" is not understood',
      '--frobnicate is not a flag',
      '--ztunnel-uds-address needs a value',
      'NODE_NAME is not set',
      '--kubeconfig is not set',
      'AQUIFER_CGROUP_ROOT is not set and no cgroup2 is mounted',
      'AQUIFER_CAPTURE=iptables: expected one of ebpf, nft, auto',
      'AQUIFER_FAIL_OPEN=yes: expected one of true, false',
      'AQUIFER_WITHDRAW_GRACE="1 second": expected a duration',
      'AQUIFER_BPF_DIR=pins: expected an absolute path',
      '--monitoring-port=99999: expected a port',
      'RUST_LOG=loud: expected off',
    ]) {
      assert.ok(
        found.some((line) => line.startsWith(part)),
        `${part} is not in ${found.join(' | ')}`,
      );
    }
    assert.equal(found.length, 12);
  });

  test('a socket path that the kernel would cut is refused', () => {
    assert.match(
      mistakes({ argv: [], env: { ...env, INPOD_UDS: `/${'x'.repeat(101)}` }, mounts: hybrid }).join(),
      /at most 101 bytes/,
    );
  });

  test('the unified hierarchy is found wherever it is mounted', () => {
    assert.deepEqual(cgroupMounts('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n'), {
      unified: '/sys/fs/cgroup',
      legacy: [],
    });
  });
});

test('SETTINGS.md names every setting that is read, and no other', (t) => {
  const page = readFileSync(new URL('SETTINGS.md', import.meta.url), 'utf8');
  const cells = page.split('\n').flatMap((line) => (line.startsWith('| `') ? line.split('|').slice(1, 3) : []));
  const listed = new Set(cells.flatMap((cell) => cell.match(/(?<=`)(?:--[a-z-]+|[A-Z][A-Z0-9_]+)(?=`)/g) ?? []));
  const read = new Set<string>();
  const { text } = SettingsReader.prototype;
  t.mock.method(SettingsReader.prototype, 'text', function (this: SettingsReader, name: string) {
    read.add(name);
    return text.call(this, name);
  });
  parse();
  mistakes({ argv: [], env: {}, mounts: '' });
  assert.deepEqual([...listed].toSorted(), [...read].toSorted());
});
