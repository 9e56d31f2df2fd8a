import assert from 'node:assert/strict';
import { test } from 'node:test';
import { imageName } from './image.ts';
import { parseSimulation } from './packages.ts';
import { findImage, unknownImage } from './table.ts';

test('registry, tag and digest do not choose the image', () => {
  const cases = {
    nginx: 'nginx',
    'nginx:1.28': 'nginx',
    'docker.io/library/nginx:1.28-alpine': 'nginx',
    'localhost:5000/aquifer/echo:dev': 'aquifer/echo',
    'curlimages/curl@sha256:0123abcd': 'curlimages/curl',
    'registry.example/networkstatic/iperf3:latest': 'networkstatic/iperf3',
  };
  for (const [reference, name] of Object.entries(cases)) {
    assert.equal(imageName(reference), name, reference);
    assert.notEqual(findImage(reference), undefined, reference);
  }
});

test('an absolute path is the root file system itself', () => {
  assert.equal(findImage('/tmp/a:b/rootfs')?.root, '/tmp/a:b/rootfs');
  assert.equal(findImage('nginx')?.root, '/');
});

test('an unknown image is named together with the known ones', () => {
  assert.equal(findImage('mysql:8'), undefined);
  assert.match(unknownImage('mysql:8'), /"mysql:8".*known are nginx, redis/);
});

test('packages to fetch are those that apt-get would install anew', () => {
  const text = `NOTE: This is only a simulation!
Inst libjemalloc2 (5.3.0-1 Debian:12.15/oldstable [amd64])
Inst curl [7.88.1-10] (7.88.1-11 Debian:12.15/oldstable [amd64])
Inst redis-tools (5:7.0.15-1~deb12u10 Debian-Security:12 [amd64])
Conf redis-tools (5:7.0.15-1~deb12u10 Debian-Security:12 [amd64])
`;
  assert.deepEqual(parseSimulation(text), ['libjemalloc2=5.3.0-1', 'redis-tools=5:7.0.15-1~deb12u10']);
});
