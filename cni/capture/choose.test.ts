import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type CaptureQuestion, chooseCapture, type ProbeResult } from './choose.ts';

const usable = (): ProbeResult => ({ kind: 'usable' });
const unusable = (reason: string) => (): ProbeResult => ({ kind: 'unusable', reason });
const notAsked = (): ProbeResult => assert.fail('it was probed for nothing');

const question: CaptureQuestion = {
  wanted: 'auto',
  failOpen: false,
  sameNode: false,
  probes: { ebpf: usable, nft: notAsked },
  standing: undefined,
};

describe('choice of the capture', () => {
  test('eBPF where the kernel takes it', () => {
    assert.equal(chooseCapture(question).kind, 'ebpf');
  });

  test('nftables where it does not, and the reason is told', () => {
    const probes = { ebpf: unusable('program connect4 cannot be loaded'), nft: usable };
    assert.deepEqual(chooseCapture({ ...question, probes }), {
      kind: 'nft',
      why: 'eBPF cannot be used: program connect4 cannot be loaded',
    });
  });

  test('nothing, with both reasons', () => {
    const probes = { ebpf: unusable('no bpf'), nft: unusable('no nf_tables') };
    assert.throws(() => chooseCapture({ ...question, probes }), /eBPF: no bpf\n {2}nftables: no nf_tables/);
  });

  test('what is forced is taken without asking for the other, or fails with its reason', () => {
    const nft = { ...question, wanted: 'nft' as const, probes: { ebpf: notAsked, nft: usable } };
    assert.deepEqual(chooseCapture(nft), { kind: 'nft', why: 'AQUIFER_CAPTURE=nft' });
    const ebpf = { ...question, wanted: 'ebpf' as const, probes: { ebpf: unusable('too old'), nft: notAsked } };
    assert.throws(() => chooseCapture(ebpf), /AQUIFER_CAPTURE=ebpf cannot be: too old/);
  });

  test('never nftables where connections shall fail open', () => {
    const probes = { ebpf: unusable('too old'), nft: notAsked };
    assert.throws(() => chooseCapture({ ...question, probes, failOpen: true }), /too old\n.*AQUIFER_FAIL_OPEN/);
    assert.throws(() => chooseCapture({ ...question, probes, failOpen: true, wanted: 'nft' }), /AQUIFER_FAIL_OPEN/);
  });

  test('never nftables where pods shall connect past the proxy', () => {
    const probes = { ebpf: unusable('too old'), nft: notAsked };
    assert.throws(() => chooseCapture({ ...question, probes, sameNode: true }), /too old\n.*AQUIFER_SAME_NODE/);
    assert.throws(() => chooseCapture({ ...question, probes, sameNode: true, wanted: 'nft' }), /AQUIFER_SAME_NODE/);
  });

  test('none beside another that stands on this node', () => {
    assert.equal(chooseCapture({ ...question, standing: 'ebpf' }).kind, 'ebpf');
    assert.throws(() => chooseCapture({ ...question, standing: 'nft' }), /captures by nftables.*uninstall first/);
  });
});
