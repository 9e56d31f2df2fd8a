import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { capabilityObstacle, obstacle, pathModes } from './worker-user.ts';

const user = 1337;

test('folders must be searchable and files readable by others, or by the user or the group that owns them', () => {
  const folder = (mode: number) => ({ path: '/root', mode: 0o040_000 | mode, uid: 0, gid: 0 });
  const file = (mode: number, uid = 0, gid = 0) => ({ path: '/root/token', mode: 0o100_000 | mode, uid, gid });
  assert.equal(obstacle([folder(0o711), file(0o644)], user), undefined);
  assert.equal(obstacle([folder(0o1777), file(0o604)], user), undefined);
  assert.equal(obstacle([folder(0o711), file(0o400, user)], user), undefined);
  // As a mounted token of a pod with fsGroup.
  assert.equal(obstacle([folder(0o711), file(0o640, 0, user)], user), undefined);
  assert.match(obstacle([folder(0o711), file(0o604, 0, user)], user)!, /may not read/);
  assert.match(obstacle([folder(0o711), file(0o044, user)], user)!, /may not read/);
  assert.match(obstacle([folder(0o700), file(0o600)], user)!, /may not enter the folder \/root: chmod o\+x \/root/);
  assert.match(obstacle([folder(0o744), file(0o644)], user)!, /folder \/root/);
  assert.match(obstacle([folder(0o755), file(0o640)], user)!, /may not read \/root\/token: chown 1337 \/root\/token/);
});

test('changing the user takes three capabilities', () => {
  assert.equal(capabilityObstacle('CapEff:\t00000000000000e0\n'), undefined);
  assert.match(capabilityObstacle('CapEff:\t0000000000000060\n')!, /CAP_SETUID/);
  assert.match(capabilityObstacle('CapEff:\t00000000000000c0\n')!, /CAP_KILL/);
});

test('every folder on the way is looked at; a file that is not there yet is none', () => {
  const top = mkdtempSync(join(tmpdir(), 'aq-user-'));
  try {
    mkdirSync(join(top, 'inner'));
    writeFileSync(join(top, 'inner', 'token'), '', { mode: 0o644 });
    assert.match(obstacle(pathModes(join(top, 'inner', 'token')), user)!, new RegExp(`folder ${top}:`));
    chmodSync(top, 0o711);
    assert.equal(obstacle(pathModes(join(top, 'inner', 'token')), user), undefined);
    assert.deepEqual(pathModes(join(top, 'nothing')), []);
  } finally {
    rmSync(top, { recursive: true });
  }
});
