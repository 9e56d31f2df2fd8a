import assert from 'node:assert/strict';
import { test } from 'node:test';
import { licensesIn, sbom } from './sbom.ts';

test('packages are named as scanners look them up, and the same input gives the same text', () => {
  const input = {
    version: '0.1.0',
    license: 'Apache-2.0',
    time: 0,
    distribution: 'bookworm',
    parts: [
      { kind: 'npm', name: '@grpc/grpc-js', version: '1.14.7', licenses: ['Apache-2.0'] },
      {
        kind: 'debian',
        name: 'libstdc++6',
        version: '1:12.2.0-14+deb12u1',
        architecture: 'amd64',
        licenses: [],
        sha256: 'ab',
      },
    ],
  } as const;
  const document = JSON.parse(sbom(input));
  assert.deepEqual(
    document.components.map((c: { purl: string }) => c.purl),
    [
      'pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm',
      'pkg:npm/%40grpc/grpc-js@1.14.7',
    ],
  );
  assert.deepEqual(document.components[0].licenses, [
    { license: { name: 'as /usr/share/doc/libstdc++6/copyright says' } },
  ]);
  assert.equal(document.metadata.timestamp, '1970-01-01T00:00:00.000Z');
  assert.equal(sbom({ ...input, parts: [...input.parts].reverse() }), sbom(input));
});

test('licenses of a copyright file', () => {
  const dep5 = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: GPL-2+ with exception

Files: x
License: BSD-3-clause
 Redistribution ...

License: GPL-2+ with exception
 text
`;
  assert.deepEqual(licensesIn(dep5), ['BSD-3-clause', 'GPL-2+ with exception']);
  assert.deepEqual(licensesIn('This is free.\nLicense: yes\n'), []);
});
