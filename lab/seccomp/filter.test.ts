import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allow, defaultFilter, refuse } from './filter.ts';
import { type Arch, newestCall, refusedCalls } from './profile.ts';

const audit = { x64: 0xc000_003e, arm64: 0xc000_00b7 };

/** What the kernel's interpreter makes of a call (linux/bpf_common.h), for the instructions that a filter of ours has. */
function judge(filter: Buffer, call: number, argument = 0, arch = audit.x64): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(call, 0);
  data.writeUInt32LE(arch, 4);
  data.writeUInt32LE(argument, 16);
  let accumulator = 0;
  for (let i = 0; i < filter.length / 8; i += 1) {
    const [code, yes, no, value] = [
      filter.readUInt16LE(i * 8),
      filter.readUInt8(i * 8 + 2),
      filter.readUInt8(i * 8 + 3),
      filter.readUInt32LE(i * 8 + 4),
    ];
    if (code === 0x06) return value;
    if (code === 0x20) {
      accumulator = data.readUInt32LE(value);
      continue;
    }
    const held = { 21: accumulator === value, 37: accumulator > value, 69: (accumulator & value) !== 0 }[code];
    assert.ok(held !== undefined, `instruction ${i} has code ${code}`);
    i += held ? yes : no;
  }
  throw new assert.AssertionError({ message: 'the filter ended without a result' });
}

const [eperm, enosys] = [refuse('EPERM'), refuse('ENOSYS')];
const none: ReadonlySet<string> = new Set();

describe("containerd's default profile as a filter", () => {
  test('a refused call by each capability that allows it, on both architectures', () => {
    for (const arch of ['x64', 'arm64'] satisfies Arch[]) {
      for (const call of refusedCalls) {
        const number = call[arch];
        if (number === null) continue;
        const of = (kept: ReadonlySet<string> | 'all') => judge(defaultFilter(arch, kept), number, 0, audit[arch]);
        assert.equal(of(none), eperm, call.name);
        for (const name of call.unless) assert.equal(of(new Set([name])), allow, `${call.name} with ${name}`);
        assert.equal(of('all'), call.unless.length > 0 ? allow : eperm, call.name);
      }
    }
  });

  test('all others are allowed, but for those that are newer than the profile', () => {
    const refused = new Set(refusedCalls.map((c) => c.x64));
    const filter = defaultFilter('x64', new Set(['sys_admin', 'bpf', 'perfmon', 'syslog']));
    const without = new Set(refusedCalls.filter((c) => !c.unless.includes('sys_admin')).map((c) => c.x64));
    for (let call = 0; call <= newestCall; call += 1) {
      if (call === 135) continue;
      assert.equal(judge(filter, call), without.has(call) ? eperm : allow, `call ${call}`);
    }
    assert.ok(refused.size > without.size);
    assert.equal(judge(filter, newestCall + 1), enosys);
    // The x32 numbers begin at 2^30.
    assert.equal(judge(filter, 0x4000_0000), enosys);
    assert.equal(judge(filter, 0, 0, 0x4000_0003), enosys);
  });

  test('namespaces need CAP_SYS_ADMIN; threads and processes do not', () => {
    const [plain, admin] = [defaultFilter('x64', none), defaultFilter('x64', new Set(['sys_admin']))];
    const [newNet, newUser, thread] = [0x4000_0000, 0x1000_0000, 0x003d_0f00];
    for (const flags of [newNet, newUser, newNet | thread]) {
      assert.equal(judge(plain, 56, flags), eperm);
      assert.equal(judge(admin, 56, flags), allow);
    }
    assert.equal(judge(plain, 56, thread), allow);
    // The C library then takes clone instead.
    assert.equal(judge(plain, 435), enosys);
    assert.equal(judge(admin, 435), allow);
  });

  test('sockets to the host of a virtual machine, and personalities that weaken a process', () => {
    const filter = defaultFilter('x64', 'all');
    assert.equal(judge(filter, 41, 40), eperm);
    for (const family of [1, 2, 10, 16, 17]) assert.equal(judge(filter, 41, family), allow);
    assert.equal(judge(filter, 135, 0), allow);
    assert.equal(judge(filter, 135, 0xffff_ffff), allow);
    // ADDR_NO_RANDOMIZE
    assert.equal(judge(filter, 135, 0x004_0000), eperm);
  });
});
