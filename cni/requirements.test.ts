import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { MeshError } from '../common/core/errors.ts';
import { parseConfig } from './config.ts';
import { checkRequirements, type Machine, missingForEbpf } from './requirements.ts';

const parsed = parseConfig({
  argv: [],
  env: { NODE_NAME: 'n', KUBECONFIG: '/k', AQUIFER_ZTUNNEL_CGROUP: '/cg/z', AQUIFER_CGROUP_ROOT: '/cg' },
  mounts: '',
});
const config = parsed.kind === 'ok' ? parsed.config : assert.fail(parsed.errors.join());
const types: Record<string, number> = { '/cg': 0x63677270, '/cg/z': 0x63677270, '/sys/fs/bpf': 0xcafe4a11 };

function machine(bits: readonly number[], fileSystems = types): Machine {
  const effective = bits.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n).toString(16);
  return { status: `Name:\tx\nCapEff:\t${effective.padStart(16, '0')}\n`, fileSystem: (path) => fileSystems[path] };
}

function missing(m: Machine): string {
  try {
    checkRequirements(config, m);
  } catch (e) {
    assert.ok(e instanceof MeshError && e.code === 'CONFIG');
    return e.message;
  }
  return '';
}

describe('what the agent needs of the machine', () => {
  test('is enough: CAP_SYS_ADMIN and CAP_NET_ADMIN, cgroup2 and a bpffs', () => {
    assert.equal(missing(machine([21, 12])), '');
    assert.equal(missingForEbpf(config, machine([21, 12])), undefined);
  });

  test('is named when it is missing, and what it is for', () => {
    const text = missing(machine([], { '/cg': 0x1021994 }));
    for (const part of [
      /CAP_SYS_ADMIN is missing, needed to enter pods/,
      /CAP_NET_ADMIN is missing, needed to set routes/,
      /AQUIFER_CGROUP_ROOT=\/cg is not in a cgroup2/,
      /AQUIFER_ZTUNNEL_CGROUP=\/cg\/z does not exist/,
    ]) {
      assert.match(text, part);
    }
  });

  test('is more for eBPF, and no obstacle to nftables', () => {
    const { '/sys/fs/bpf': _, ...withoutBpffs } = types;
    assert.equal(missing(machine([21, 12], withoutBpffs)), '');
    const text = missingForEbpf(config, machine([12], withoutBpffs)) ?? '';
    assert.match(text, /CAP_BPF is missing, needed to load/);
    assert.match(text, /AQUIFER_BPF_DIR=\/sys\/fs\/bpf\/aquifer is not in a BPF file system/);
  });
});
