import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownerIn, parseReadelf } from './closure.ts';
import { inUsr, parseUris } from './packages.ts';

test('what programs are linked with, as readelf says it', () => {
  const text = `
File: /a/node
  INTERP         0x000318 0x0000000000400318 0x0000000000400318 0x00001c 0x00001c R   0x1
      [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000f (RPATH)              Library rpath: [$ORIGIN/lib]

File: /a/static

There is no dynamic section in this file.
`;
  assert.deepEqual(
    [...parseReadelf(text)],
    [
      ['/a/node', ['/lib64/ld-linux-x86-64.so.2', 'libc.so.6']],
      ['/a/static', []],
    ],
  );
});

test('the package of a library is not one that has it in a folder of its own', () => {
  const text = `qemu:amd64: /usr/lib/qemu/libelf.so.1
libelf1:amd64: /usr/lib/x86_64-linux-gnu/libelf.so.1
libc6:amd64: /lib64/ld-linux-x86-64.so.2
diversion by x from: /usr/lib/libz.so.1
`;
  assert.equal(ownerIn(text, 'libelf.so.1'), 'libelf1');
  assert.equal(ownerIn(text, 'ld-linux-x86-64.so.2'), 'libc6');
  assert.equal(ownerIn(text, 'libm.so.6'), undefined);
});

test('where apt has an archive, and what its name and sum are', () => {
  const sha256 = 'ab'.repeat(32);
  const text = `'http://mirror.example/pool/libbpf1_1.1_amd64.deb' libbpf1_1%3a1.1_amd64.deb 1500 SHA256:${sha256}\n`;
  assert.deepEqual(parseUris(text), [{ file: 'libbpf1_1%3a1.1_amd64.deb', sha256 }]);
  assert.deepEqual(parseUris('E: no such package\n'), []);
});

test('what moved to /usr is looked for there', () => {
  assert.equal(inUsr('/lib64/ld.so'), '/usr/lib64/ld.so');
  assert.equal(inUsr('/library/x'), '/library/x');
  assert.equal(inUsr('/usr/bin/sh'), '/usr/bin/sh');
});
